"""The clients that people use, cut off in mid-stream: nothing lost, nothing twice. They run the recipes of docs/."""

from typing import Any

import pytest

from tests.api_clients import UserClient
from tests.clients.node import Listening, require
from tests.clients.proxy import Proxy

pytestmark = pytest.mark.node

CLIENTS = ["graphql-ws", "graphql-ws map", "apollo", "urql", "relay"]


@pytest.fixture(autouse=True)
def _node() -> None:
    require()


def settings(person: UserClient, proxy: Proxy, room_id: str, **more: Any) -> dict[str, Any]:
    addresses = {"httpUrl": f"{proxy.url}/graphql", "wsUrl": proxy.ws_url}
    return {**addresses, "token": person.token, "roomId": room_id, **more}


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_whose_socket_is_cut_misses_nothing_and_repeats_nothing(ann: UserClient, client: str) -> None:
    den = await ann.create_room("den")
    async with (
        Proxy(ann.app.url) as proxy,
        Listening(client=client, **settings(ann, proxy, den)) as listening,
    ):
        await ann.app.wait_for_streams(1)
        await ann.send_messages(den, "one", "two")
        await listening.says("body", "two")
        for missed in ("three", "four"):
            proxy.refuses = True
            proxy.cut()
            await listening.says("closed")
            await ann.send_messages(den, missed, f"{missed} again")
            proxy.refuses = False
            await listening.says("body", f"{missed} again")
        await ann.send_messages(den, "five")
        await listening.says("body", "five")
        assert listening.bodies == ["one", "two", "three", "three again", "four", "four again", "five"]
