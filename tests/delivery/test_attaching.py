"""The moment between being allowed to read a room and hearing it: nothing slips through, nothing stays behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from roomcast.realtime.topic import Topic
from tests.api_clients import ROOM_EVENTS, UserClient
from tests.running_app import RunningApp, wait_until_all_closed


class SlowDoor:
    """Holds whoever comes to a topic until it is told to let them in."""

    def __init__(self, app: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self._enter = app.roomcast.hub.topic
        monkeypatch.setattr(app.roomcast.hub, "topic", self._hold)

    @asynccontextmanager
    async def _hold(self, name: str) -> AsyncIterator[Topic | None]:
        self.reached.set()
        await self.opened.wait()
        async with self._enter(name) as topic:
            yield topic


@pytest.mark.parametrize("somebody_listens", [True, False])
async def test_who_leaves_while_subscribing_does_not_stay_to_listen(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch, somebody_listens: bool
) -> None:
    den = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    async with ann.connect() as anns, bob.connect() as bobs:
        if somebody_listens:
            await (await anns.subscribe(ROOM_EVENTS, roomId=den)).wait_until_ready()
        door = SlowDoor(ann.app, monkeypatch)
        watching = await bobs.subscribe(ROOM_EVENTS, roomId=den)
        await door.reached.wait()
        left = await bob.leave(den)
        await ann.send_messages(den, "nothing for bob")
        door.opened.set()
        shown = [(await watching.next_event())["__typename"]]
        while shown[-1] != "StreamEnded":
            shown.append((await watching.next_event())["__typename"])
        assert (left["errors"], set(shown) - {"StreamReady", "StreamEnded"}) == ([], set())
        assert (await watching.next_message())["type"] == "complete"


async def test_a_subscription_given_up_while_its_room_is_looked_up_leaves_nothing(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    den = await ann.create_room("den")
    source = ann.app.roomcast.hub._source
    asked, answered = asyncio.Event(), asyncio.Event()
    look = source.tails

    async def tails(topics: list[str]) -> object:
        asked.set()
        await answered.wait()
        return await look(topics)

    monkeypatch.setattr(source, "tails", tails)
    async with ann.connect() as wire:
        watching = await wire.subscribe(ROOM_EVENTS, roomId=den)
        await asked.wait()
        await watching.stop()
        await wire.execute("{ me { id } }")
        answered.set()
        await nothing_left_of_streams(ann.app)


async def nothing_left_of_streams(app: RunningApp) -> None:
    async with asyncio.timeout(5):
        while app.roomcast.hub._opening or app.roomcast.hub.topics:  # noqa: ASYNC110 (no one event says it)
            await asyncio.sleep(0.005)


async def test_half_opened_streams_leave_no_trace(app: RunningApp, ann: UserClient) -> None:
    den = await ann.create_room("den")
    for _ in range(20):
        async with ann.connect() as wire:
            for _ in range(10):
                await wire.subscribe(ROOM_EVENTS, roomId=den)
    await wait_until_all_closed(app)


class SlowToLeave(SlowDoor):
    """Holds also who has given up, until it is told to let them go."""

    def __init__(self, app: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(app, monkeypatch)
        self.gone = asyncio.Event()

    @asynccontextmanager
    async def _hold(self, name: str) -> AsyncIterator[Topic | None]:
        try:
            async with super()._hold(name) as topic:
                yield topic
        except asyncio.CancelledError:
            await self.gone.wait()
            raise


async def test_an_id_that_is_used_again_at_once_leaves_no_reader(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    den = await ann.create_room("den")
    payload = {"query": ROOM_EVENTS, "variables": {"roomId": den}}
    async with ann.connect() as wire:
        door = SlowToLeave(ann.app, monkeypatch)
        await wire.send(type="subscribe", id="x", payload=payload)
        await door.reached.wait()
        await wire.send(type="complete", id="x")
        await wire.send(type="subscribe", id="x", payload=payload)  # the first one is still being cancelled
        await wire.execute("{ me { id } }")
        door.gone.set()
        await wire.execute("{ me { id } }")
        await wire.send(type="complete", id="x")  # the second one
        await wire.execute("{ me { id } }")
        door.opened.set()
        await (
            await wire.subscribe(ROOM_EVENTS, roomId=den)
        ).wait_until_ready()  # what waited before it is through, too
        assert ann.app.roomcast.hub.reader_count == 1
        await wire.send(type="subscribe", id="x", payload=payload)  # and the id is free
        assert (await wire.next_message("x"))["type"] == "next"
