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
async def both(make_app: MakeApp, bus_url: str) -> tuple[RunningApp, RunningApp]:
    here = await make_app(bus_url=bus_url)
    await until(lambda: here.roomcast.bus.connected)  # its tasks are started
    return here, await make_app(bus_url=bus_url)


@pytest_asyncio.fixture
async def bob(both: tuple[RunningApp, RunningApp]) -> AsyncIterator[UserClient]:
    async with await sign_up(both[0], "ann") as _, await sign_up(both[0], "bob") as person:
        yield person


def at(app: RunningApp, person: UserClient) -> UserClient:
    """A client of the same user and session at another process."""
    signed_in = {"tokens": {"accessToken": person.token, "refreshToken": ""}, "user": {"id": person.id}}
    return UserClient(app, person.name, signed_in)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (no event to await)
            await asyncio.sleep(0.01)


async def test_presence_is_shared_between_processes(both: tuple[RunningApp, RunningApp], bob: UserClient) -> None:
    here, there = both
    async with at(there, bob) as beyond:
        async with bob.connect():
            await wait_for_state(beyond, bob, "ACTIVE")
            await set_presence(beyond, state="IDLE", statusText="set there")
            await wait_for_state(bob, bob, "IDLE")
            assert (await presence_seen_by(bob, bob))["statusText"] == "set there"
            await set_presence(bob, state="OFFLINE")
            await wait_for_state(beyond, bob, "OFFLINE")
            await set_presence(beyond, state=None)
            await wait_for_state(bob, bob, "ACTIVE")
        await wait_for_sockets(here, 0)
        advance_clock([here], 20)
        await wait_for_state(beyond, bob, "OFFLINE")
        assert (await presence_seen_by(beyond, bob))["lastActiveAt"] is not None


async def test_devices_on_two_processes_belong_to_one_user(
    both: tuple[RunningApp, RunningApp], bob: UserClient
) -> None:
    here, there = both
    async with at(there, bob) as beyond, bob.connect():
        await wait_for_state(beyond, bob, "ACTIVE")
        async with beyond.connect():
            pass
        await wait_for_sockets(there, 0)
        advance_clock([there], 20)
        assert await state_seen_by(beyond, bob) == "ACTIVE"


async def test_a_new_process_learns_the_presence_of_connected_users(
    make_app: MakeApp, both: tuple[RunningApp, RunningApp], bus_url: str, bob: UserClient
) -> None:
    async with bob.connect():
        await set_presence(bob, state="IDLE", statusText="working")
        new_app = await make_app(bus_url=bus_url)
        async with at(new_app, bob) as beyond:
            await wait_for_state(beyond, bob, "IDLE")
            assert (await presence_seen_by(beyond, bob))["statusText"] == "working"


async def test_a_process_asks_for_a_full_sync_after_a_lost_message(
    both: tuple[RunningApp, RunningApp], bob: UserClient
) -> None:
    here, there = both
    lost: list[str] = []
    on_frame = there.roomcast.backend.presence.on_frame
    there.roomcast.backend.presence.on_frame = lambda frame: lost.append(frame.body)  # type: ignore[method-assign]
    async with bob.connect(), at(there, bob) as beyond:
        await set_presence(bob, statusText="lost")
        await until(lambda: any("lost" in body for body in lost))
        there.roomcast.backend.presence.on_frame = on_frame  # type: ignore[method-assign]
        assert await state_seen_by(beyond, bob) == "OFFLINE"
        advance_clock(both, 6)  # the next heartbeat shows the gap
        await wait_for_state(beyond, bob, "ACTIVE")
        assert (await presence_seen_by(beyond, bob))["statusText"] == "lost"


async def test_a_status_is_sent_to_the_process_that_its_user_connects_to(
    make_app: MakeApp, both: tuple[RunningApp, RunningApp], bus_url: str, bob: UserClient
) -> None:
    await set_presence(bob, statusText="away")
    new_app = await make_app(bus_url=bus_url)
    async with at(new_app, bob) as beyond, beyond.connect():
        await wait_for_state(bob, bob, "ACTIVE")
        user_id = UUID(bob.id.removeprefix("user_"))
        await until(lambda: new_app.roomcast.backend.presence.registry.status_of(user_id).text == "away")


async def test_hundreds_of_users_are_sent_in_small_messages(
    both: tuple[RunningApp, RunningApp], bob: UserClient
) -> None:
    here, there = both
    sizes: list[int] = []
    on_frame = there.roomcast.backend.presence.on_frame

    def measured(frame: Frame) -> None:
        sizes.append(len(frame.body.encode()))
        on_frame(frame)

    there.roomcast.backend.presence.on_frame = measured  # type: ignore[method-assign]
    people = [Actor(uuid7(), uuid7(), False, now()) for _ in range(500)]
    for person in people:
        here.roomcast.backend.presence.on_connect(person)
        here.roomcast.backend.presence.set_presence(
            person, StatusUpdate(PresenceState.IDLE, "\N{CYRILLIC SMALL LETTER A}" * 100, "👍")
        )
    registry = there.roomcast.backend.presence.registry
    await until(lambda: len(registry.visible_user_ids) == 500)
    await until(lambda: all(registry.status_of(each.user_id).emoji == "👍" for each in people))
    assert max(sizes) < 7_000
    assert len(sizes) < 150
    for person in people:
        here.roomcast.backend.presence.on_disconnect(person, for_good=True)
    await until(lambda: not there.roomcast.backend.presence.registry.visible_user_ids)


async def test_typing_and_its_end_are_shared_between_processes(
    both: tuple[RunningApp, RunningApp], bob: UserClient
) -> None:
    here, there = both
    room_id = await bob.create_room("den")
    async with bob.connect() as connection, at(there, bob) as beyond:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        await subscription.next_event()
        await set_typing(beyond, room_id)
        await wait_for_typing(subscription, ["bob"])
        await beyond.send_messages(room_id, "set there")
        await wait_for_typing(subscription, [])
        await set_typing(beyond, room_id)
        await wait_for_typing(subscription, ["bob"])
        await set_typing(beyond, room_id, typing=False)
        await wait_for_typing(subscription, [])
        async with beyond.connect():
            await set_typing(beyond, room_id)
            await wait_for_typing(subscription, ["bob"])
        await wait_for_typing(subscription, [])


@pytest.mark.chaos
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_users_of_a_killed_process_go_offline(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = {"bus_url": redis_url, "presence_grace_seconds": 2}
    async with (
        processes(2, database_url, tmp_path, **settings) as (here, there),
        await sign_up(here.app, "ann") as ann,
        await sign_up(there.app, "bob") as bob,
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
                await there.kill()
                await bob_connection.closed()
            async with asyncio.timeout(15):
                assert await wait_for_shown(people, lambda known: known.get("bob") is None) == {}
                await wait_for_typing(typing, [])
            await there.start()
            async with bob.connect():
                assert await wait_for_shown(people, only("bob")) == {"bob": "ACTIVE"}
