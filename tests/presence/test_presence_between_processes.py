"""Presence and typing between processes, with lost messages and killed processes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.ids import uuid7
from roomcast.presence.registry import PresenceState
from roomcast.presence.status_updates import StatusUpdate
from roomcast.realtime.bus.bus import Frame
from tests import servers
from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.presence.documents import (
    PRESENCE,
    TYPING,
    advance_clock,
    only,
    presence_seen_by,
    set_presence,
    set_typing,
    state_seen_by,
    wait_for_shown,
    wait_for_sockets,
    wait_for_state,
    wait_for_typing,
)
from tests.process import processes
from tests.running_app import RunningApp


@pytest.fixture
def redis_url() -> Iterator[str]:
    try:
        server = servers.start_redis("PATH", "wheel")
    except servers.Unavailable as reason:
        servers.skip(reason)
    with closing(server):
        yield server.url


@pytest.fixture
def bus_url(database_url: str, request: pytest.FixtureRequest) -> str:
    """PostgreSQL as the bus for PostgreSQL, otherwise Redis."""
    return database_url if database_url.startswith("postgresql") else str(request.getfixturevalue("redis_url"))


@pytest_asyncio.fixture
async def two_apps(make_app: MakeApp, bus_url: str) -> tuple[RunningApp, RunningApp]:
    first = await make_app(bus_url=bus_url)
    await until(lambda: first.roomcast.bus.connected)  # the tasks of the bus have started
    return first, await make_app(bus_url=bus_url)


@pytest_asyncio.fixture
async def bob(two_apps: tuple[RunningApp, RunningApp]) -> AsyncIterator[UserClient]:
    async with await sign_up(two_apps[0], "ann") as _, await sign_up(two_apps[0], "bob") as person:
        yield person


def at(app: RunningApp, person: UserClient) -> UserClient:
    """A client of the same user and session at another process."""
    signed_in = {"tokens": {"accessToken": person.token, "refreshToken": ""}, "user": {"id": person.id}}
    return UserClient(app, person.name, signed_in)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (no event to await)
            await asyncio.sleep(0.01)


async def test_presence_is_shared_between_processes(two_apps: tuple[RunningApp, RunningApp], bob: UserClient) -> None:
    first, second = two_apps
    async with at(second, bob) as bob_on_second:
        async with bob.connect():
            await wait_for_state(bob_on_second, bob, "ACTIVE")
            await set_presence(bob_on_second, state="IDLE", statusText="set on second")
            await wait_for_state(bob, bob, "IDLE")
            assert (await presence_seen_by(bob, bob))["statusText"] == "set on second"
            await set_presence(bob, state="OFFLINE")
            await wait_for_state(bob_on_second, bob, "OFFLINE")
            await set_presence(bob_on_second, state=None)
            await wait_for_state(bob, bob, "ACTIVE")
        await wait_for_sockets(first, 0)
        advance_clock([first], 20)
        await wait_for_state(bob_on_second, bob, "OFFLINE")
        assert (await presence_seen_by(bob_on_second, bob))["lastActiveAt"] is not None


async def test_devices_on_two_processes_belong_to_one_user(
    two_apps: tuple[RunningApp, RunningApp], bob: UserClient
) -> None:
    first, second = two_apps
    async with at(second, bob) as bob_on_second, bob.connect():
        await wait_for_state(bob_on_second, bob, "ACTIVE")
        async with bob_on_second.connect():
            pass
        await wait_for_sockets(second, 0)
        advance_clock([second], 20)
        assert await state_seen_by(bob_on_second, bob) == "ACTIVE"


async def test_a_new_process_learns_the_presence_of_connected_users(
    make_app: MakeApp, two_apps: tuple[RunningApp, RunningApp], bus_url: str, bob: UserClient
) -> None:
    async with bob.connect():
        await set_presence(bob, state="IDLE", statusText="working")
        new_app = await make_app(bus_url=bus_url)
        async with at(new_app, bob) as bob_on_second:
            await wait_for_state(bob_on_second, bob, "IDLE")
            assert (await presence_seen_by(bob_on_second, bob))["statusText"] == "working"


async def test_a_process_asks_for_a_full_sync_after_a_lost_message(
    two_apps: tuple[RunningApp, RunningApp], bob: UserClient
) -> None:
    first, second = two_apps
    lost: list[str] = []
    on_frame = second.roomcast.backend.presence.on_frame
    second.roomcast.backend.presence.on_frame = lambda frame: lost.append(frame.body)  # type: ignore[method-assign]
    async with bob.connect(), at(second, bob) as bob_on_second:
        await set_presence(bob, statusText="lost")
        await until(lambda: any("lost" in body for body in lost))
        second.roomcast.backend.presence.on_frame = on_frame  # type: ignore[method-assign]
        assert await state_seen_by(bob_on_second, bob) == "OFFLINE"
        advance_clock(two_apps, 6)  # the next heartbeat shows the gap
        await wait_for_state(bob_on_second, bob, "ACTIVE")
        assert (await presence_seen_by(bob_on_second, bob))["statusText"] == "lost"


async def test_a_status_is_sent_to_the_process_that_its_user_connects_to(
    make_app: MakeApp, two_apps: tuple[RunningApp, RunningApp], bus_url: str, bob: UserClient
) -> None:
    await set_presence(bob, statusText="away")
    new_app = await make_app(bus_url=bus_url)
    async with at(new_app, bob) as bob_on_second, bob_on_second.connect():
        await wait_for_state(bob, bob, "ACTIVE")
        user_id = UUID(bob.id.removeprefix("user_"))
        await until(lambda: new_app.roomcast.backend.presence.registry.status_of(user_id).text == "away")


async def test_hundreds_of_users_are_sent_in_small_messages(
    two_apps: tuple[RunningApp, RunningApp], bob: UserClient
) -> None:
    first, second = two_apps
    sizes: list[int] = []
    on_frame = second.roomcast.backend.presence.on_frame

    def measured(frame: Frame) -> None:
        sizes.append(len(frame.body.encode()))
        on_frame(frame)

    second.roomcast.backend.presence.on_frame = measured  # type: ignore[method-assign]
    people = [Actor(uuid7(), uuid7(), False, now()) for _ in range(500)]
    for person in people:
        first.roomcast.backend.presence.on_connect(person)
        first.roomcast.backend.presence.set_presence(
            person, StatusUpdate(PresenceState.IDLE, "\N{CYRILLIC SMALL LETTER A}" * 100, "👍")
        )
    registry = second.roomcast.backend.presence.registry
    await until(lambda: len(registry.visible_user_ids) == 500)
    await until(lambda: all(registry.status_of(each.user_id).emoji == "👍" for each in people))
    assert max(sizes) < 7_000
    assert len(sizes) < 150
    for person in people:
        first.roomcast.backend.presence.on_disconnect(person, for_good=True)
    await until(lambda: not second.roomcast.backend.presence.registry.visible_user_ids)


async def test_typing_and_its_end_are_shared_between_processes(
    two_apps: tuple[RunningApp, RunningApp], bob: UserClient
) -> None:
    first, second = two_apps
    room_id = await bob.create_room("den")
    async with bob.connect() as connection, at(second, bob) as bob_on_second:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        await subscription.next_event()
        await set_typing(bob_on_second, room_id)
        await wait_for_typing(subscription, ["bob"])
        await bob_on_second.send_messages(room_id, "set on second")
        await wait_for_typing(subscription, [])
        await set_typing(bob_on_second, room_id)
        await wait_for_typing(subscription, ["bob"])
        await set_typing(bob_on_second, room_id, typing=False)
        await wait_for_typing(subscription, [])
        async with bob_on_second.connect():
            await set_typing(bob_on_second, room_id)
            await wait_for_typing(subscription, ["bob"])
        await wait_for_typing(subscription, [])


@pytest.mark.chaos
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_users_of_a_killed_process_go_offline(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = {"bus_url": redis_url, "presence_grace_seconds": 2}
    async with (
        processes(2, database_url, tmp_path, **settings) as (first, second),
        await sign_up(first.app, "ann") as ann,
        await sign_up(second.app, "bob") as bob,
    ):
        room_id = await ann.create_room("den", memberIds=[bob.id])
        async with ann.connect() as connection:
            people, typing = (
                await connection.subscribe(PRESENCE, roomId=room_id),
                await connection.subscribe(TYPING, roomId=room_id),
            )
            await typing.next_event()
            async with bob.connect() as bob_connection:
                assert await wait_for_shown(people, only("ann", "bob"))
                await set_typing(bob, room_id)
                await wait_for_typing(typing, ["bob"])
                await second.kill()
                await bob_connection.closed()
            async with asyncio.timeout(15):
                assert await wait_for_shown(people, lambda known: known.get("bob") is None) == {}
                await wait_for_typing(typing, [])
            await second.start()
            async with bob.connect():
                assert await wait_for_shown(people, only("bob")) == {"bob": "ACTIVE"}
