"""How the real graphql-ws client reacts to every close code: it reconnects after some and gives up after the others."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from roomcast.api.websocket.admission import ConnectionLimits
from roomcast.api.websocket.timeouts import Timeouts
from tests.accounts.documents import BAN
from tests.api_clients import UserClient, sign_up
from tests.clients.node import NodeClient, require
from tests.clients.proxy import Proxy
from tests.clients.test_clients import settings
from tests.conftest import MakeApp
from tests.running_app import RunningApp

pytestmark = pytest.mark.node

QUICK = Timeouts(tick=0.02, heartbeat=0.2, grace=0.2)


@pytest.fixture(autouse=True)
def _node() -> None:
    require()


def restart(app: RunningApp) -> None:
    for socket in list(app.roomcast.sockets.connections):
        socket.on_server_stop()


@pytest.mark.parametrize("code", [4400, 4406, 4409, 4429])
async def test_a_client_that_breaks_the_protocol_gives_up(ann: UserClient, code: int) -> None:
    room_id = await ann.create_room("den")
    async with (
        Proxy(ann.app.url) as proxy,
        NodeClient(client="graphql-ws", **settings(ann, proxy, room_id, mischief=code)) as client,
    ):
        assert await client.wait_for("failed") == code
        assert [line["closed"] for line in client.seen if "closed" in line] == [code]


async def test_a_client_with_a_bad_token_gives_up_after_4401(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with (
        Proxy(ann.app.url) as proxy,
        NodeClient(client="graphql-ws", **settings(ann, proxy, room_id, token="nonsense")) as client,
    ):
        assert await client.wait_for("failed") == 4401


async def test_the_client_of_a_banned_user_gets_the_end_event_and_a_4401(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with (
        Proxy(bob.app.url) as proxy,
        NodeClient(client="graphql-ws", **settings(bob, proxy, room_id)) as client,
    ):
        await bob.app.wait_for_streams(1)
        await ann.mutate(BAN, userId=bob.id)
        await client.wait_for("complete")
        assert await client.wait_for("closed") == 4401


async def test_a_client_reconnects_after_1012(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with (
        Proxy(ann.app.url) as proxy,
        NodeClient(client="graphql-ws", **settings(ann, proxy, room_id)) as client,
    ):
        await check_continues_after(1012, client, ann, room_id, lambda: restart(ann.app))


async def test_a_client_retries_after_1013_until_it_is_admitted(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    admission = ann.app.roomcast.sockets.admission
    admission.limits = ConnectionLimits(sockets_per_process=0)
    async with (
        Proxy(ann.app.url) as proxy,
        NodeClient(client="graphql-ws", **settings(ann, proxy, room_id)) as client,
    ):
        for _ in range(2):
            await client.wait_for("closed", 1013)
        admission.limits = ConnectionLimits()
        await client.wait_for("connected")
        await ann.app.wait_for_streams(1)
        await ann.send_messages(room_id, "welcome")
        await client.wait_for("body", "welcome")


async def test_a_client_that_was_frozen_is_closed_with_4408_and_catches_up(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    ann.app.roomcast.sockets.timeouts = QUICK
    async with (
        Proxy(ann.app.url) as proxy,
        NodeClient(client="graphql-ws", **settings(ann, proxy, room_id)) as client,
    ):
        await ann.app.wait_for_streams(1)
        await ann.send_messages(room_id, "before")
        await client.wait_for("body", "before")
        client.freeze()
        await ann.app.wait_for_streams(0)
        await ann.send_messages(room_id, "meanwhile")
        client.thaw()
        await client.wait_for("closed", 4408)
        await client.wait_for("body", "meanwhile")
        assert client.bodies == ["before", "meanwhile"]


async def test_a_client_refreshes_its_token_after_4403_and_goes_on(make_app: MakeApp) -> None:
    app = await make_app(access_token_seconds=2)
    app.roomcast.sockets.timeouts = replace(QUICK, heartbeat=12)
    async with await sign_up(app, "ann") as ann, Proxy(app.url) as proxy:
        room_id = await ann.create_room("den")
        more = settings(ann, proxy, room_id, refreshToken=ann.refresh_token)
        async with NodeClient(client="graphql-ws", **more) as client:
            await app.wait_for_streams(1)
            await ann.send_messages(room_id, "with the first token")
            await client.wait_for("body", "with the first token")
            await client.wait_for("closed", 4403)
            await client.wait_for("renewed")
            async with await sign_up(app, "bob") as bob:
                await bob.join(room_id)
                await bob.send_messages(room_id, "with the second")
            await client.wait_for("body", "with the second")
            assert client.bodies == ["with the first token", "bob joined.", "with the second"]


async def check_continues_after(
    code: int, client: NodeClient, person: UserClient, room_id: str, end: Callable[[], None]
) -> None:
    await person.app.wait_for_streams(1)
    await person.send_messages(room_id, "before")
    await client.wait_for("body", "before")
    end()
    await client.wait_for("closed", code)
    await person.send_messages(room_id, "after")
    await client.wait_for("body", "after")
    assert client.bodies == ["before", "after"]
