"""JavaScript clients lose and repeat nothing when their connection is cut. They run the recipes of docs/delivery.md."""

from typing import Any

import pytest

from tests.api_clients import UserClient
from tests.clients.node import NodeClient, require
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
async def test_a_javascript_client_that_reconnects_loses_and_repeats_nothing(ann: UserClient, client: str) -> None:
    room_id = await ann.create_room("den")
    async with (
        Proxy(ann.app.url) as proxy,
        NodeClient(client=client, **settings(ann, proxy, room_id)) as reader,
    ):
        await ann.app.wait_for_streams(1)
        await ann.send_messages(room_id, "one", "two")
        await reader.wait_for("body", "two")
        for missed in ("three", "four"):
            proxy.rejects = True
            proxy.cut()
            await reader.wait_for("closed")
            await ann.send_messages(room_id, missed, f"{missed} again")
            proxy.rejects = False
            await reader.wait_for("body", f"{missed} again")
        await ann.send_messages(room_id, "five")
        await reader.wait_for("body", "five")
        assert reader.bodies == ["one", "two", "three", "three again", "four", "four again", "five"]
