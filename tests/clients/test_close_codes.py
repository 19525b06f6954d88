"""Every close code against the real graphql-ws client: it comes back after some, and gives up after the others."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from roomcast.api.websocket.admission import ConnectionLimits
from roomcast.api.websocket.timeouts import Timeouts
from tests.accounts.documents import BAN
from tests.api_clients import UserClient, sign_up
from tests.clients.node import Listening, require
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
    for socket in list(app.roomcast.sockets.open):
        socket.leave()


@pytest.mark.parametrize("code", [4400, 4406, 4409, 4429])
async def test_a_client_that_breaks_the_protocol_gives_up(ann: UserClient, code: int) -> None:
    den = await ann.create_room("den")
    async with (
        Proxy(ann.app.url) as proxy,
        Listening(client="graphql-ws", **settings(ann, proxy, den, mischief=code)) as listening,
    ):
        assert await listening.says("failed") == code
        assert [line["closed"] for line in listening.seen if "closed" in line] == [code]


async def test_a_client_with_a_bad_token_gives_up_after_4401(ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with (
        Proxy(ann.app.url) as proxy,
        Listening(client="graphql-ws", **settings(ann, proxy, den, token="nonsense")) as listening,
    ):
        assert await listening.says("failed") == 4401


async def test_a_client_whose_person_is_banned_hears_the_end_and_is_closed_with_4401(
    ann: UserClient, bob: UserClient
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    async with (
        Proxy(bob.app.url) as proxy,
        Listening(client="graphql-ws", **settings(bob, proxy, den)) as listening,
    ):
        await bob.app.wait_for_streams(1)
        await ann.mutate(BAN, userId=bob.id)
        await listening.says("complete")
        assert await listening.says("closed") == 4401


async def test_a_client_comes_back_after_a_restart_with_1012(ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with (
        Proxy(ann.app.url) as proxy,
        Listening(client="graphql-ws", **settings(ann, proxy, den)) as listening,
    ):
        await goes_on_after(1012, listening, ann, den, lambda: restart(ann.app))


async def test_a_client_tries_again_after_1013_until_there_is_a_place(ann: UserClient) -> None:
    den = await ann.create_room("den")
    crowd = ann.app.roomcast.sockets.admission
    crowd.places = ConnectionLimits(sockets=0)
    async with (
        Proxy(ann.app.url) as proxy,
        Listening(client="graphql-ws", **settings(ann, proxy, den)) as listening,
    ):
        for _ in range(2):
            await listening.says("closed", 1013)
        crowd.places = ConnectionLimits()
        await listening.says("connected")
        await ann.app.wait_for_streams(1)
        await ann.send_messages(den, "welcome")
        await listening.says("body", "welcome")


async def test_a_client_that_was_frozen_is_closed_with_4408_and_catches_up(ann: UserClient) -> None:
    den = await ann.create_room("den")
    ann.app.roomcast.sockets.timeouts = QUICK
    async with (
        Proxy(ann.app.url) as proxy,
        Listening(client="graphql-ws", **settings(ann, proxy, den)) as listening,
    ):
        await ann.app.wait_for_streams(1)
        await ann.send_messages(den, "before")
        await listening.says("body", "before")
        listening.freeze()
        await ann.app.wait_for_streams(0)
        await ann.send_messages(den, "meanwhile")
        listening.thaw()
        await listening.says("closed", 4408)
        await listening.says("body", "meanwhile")
        assert listening.bodies == ["before", "meanwhile"]


async def test_a_client_renews_its_token_after_4403_and_goes_on(make_app: MakeApp) -> None:
    app = await make_app(access_token_seconds=2)
    app.roomcast.sockets.timeouts = replace(QUICK, heartbeat=12)
    async with await sign_up(app, "ann") as ann, Proxy(app.url) as proxy:
        den = await ann.create_room("den")
        more = settings(ann, proxy, den, refreshToken=ann.refresh_token)
        async with Listening(client="graphql-ws", **more) as listening:
            await app.wait_for_streams(1)
            await ann.send_messages(den, "with the first token")
            await listening.says("body", "with the first token")
            await listening.says("closed", 4403)
            await listening.says("renewed")
            async with await sign_up(app, "bob") as bob:
                await bob.join(den)
                await bob.send_messages(den, "with the second")
            await listening.says("body", "with the second")
            assert listening.bodies == ["with the first token", "@bob joined.", "with the second"]


async def goes_on_after(
    code: int, listening: Listening, person: UserClient, room_id: str, end: Callable[[], None]
) -> None:
    await person.app.wait_for_streams(1)
    await person.send_messages(room_id, "before")
    await listening.says("body", "before")
    end()
    await listening.says("closed", code)
    await person.send_messages(room_id, "after")
    await listening.says("body", "after")
    assert listening.bodies == ["before", "after"]
