"""The time between the permission check and the first event: no event is lost, and no reader remains."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from roomcast.realtime.topic import Topic
from tests.api_clients import ROOM_EVENTS, UserClient
from tests.running_app import RunningApp, wait_until_all_closed


class DelayedAttachment:
    """Delays every attachment to a topic until `opened` is set. `reached`: one has started."""

    def __init__(self, app: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self._open_topic = app.roomcast.hub.topic
        monkeypatch.setattr(app.roomcast.hub, "topic", self._hold)

    @asynccontextmanager
    async def _hold(self, name: str) -> AsyncIterator[Topic | None]:
        self.reached.set()
        await self.opened.wait()
        async with self._open_topic(name) as topic:
            yield topic


@pytest.mark.parametrize("has_other_reader", [True, False])
async def test_a_member_who_leaves_while_subscribing_gets_no_stream(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch, has_other_reader: bool
) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    async with ann.connect() as ann_connection, bob.connect() as bob_connection:
        if has_other_reader:
            await (await ann_connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()
        attachment = DelayedAttachment(ann.app, monkeypatch)
        subscription = await bob_connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await attachment.reached.wait()
        left = await bob.leave(room_id)
        await ann.send_messages(room_id, "nothing for bob")
        attachment.opened.set()
        shown = [(await subscription.next_event())["__typename"]]
        while shown[-1] != "StreamEnded":
            shown.append((await subscription.next_event())["__typename"])
        assert (left["errors"], set(shown) - {"StreamReady", "StreamEnded"}) == ([], set())
        assert (await subscription.next_message())["type"] == "complete"


async def test_a_subscription_cancelled_during_the_room_query_leaves_nothing(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("den")
    source = ann.app.roomcast.hub._source
    query_started, query_may_finish = asyncio.Event(), asyncio.Event()
    original = source.tails

    async def tails(topics: list[str]) -> object:
        query_started.set()
        await query_may_finish.wait()
        return await original(topics)

    monkeypatch.setattr(source, "tails", tails)
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await query_started.wait()
        await subscription.stop()
        await connection.execute("{ me { id } }")
        query_may_finish.set()
        await wait_until_no_streams(ann.app)


async def wait_until_no_streams(app: RunningApp) -> None:
    async with asyncio.timeout(5):
        while app.roomcast.hub._opening or app.roomcast.hub.topics:  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.005)


async def test_half_opened_streams_leave_nothing(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    for _ in range(20):
        async with ann.connect() as connection:
            for _ in range(10):
                await connection.subscribe(ROOM_EVENTS, roomId=room_id)
    await wait_until_all_closed(app)


class DelayedCancellation(DelayedAttachment):
    """Also delays cancelled attachments until `released` is set."""

    def __init__(self, app: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(app, monkeypatch)
        self.released = asyncio.Event()

    @asynccontextmanager
    async def _hold(self, name: str) -> AsyncIterator[Topic | None]:
        try:
            async with super()._hold(name) as topic:
                yield topic
        except asyncio.CancelledError:
            await self.released.wait()
            raise


async def test_an_operation_id_reused_at_once_leaves_no_reader(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("den")
    payload = {"query": ROOM_EVENTS, "variables": {"roomId": room_id}}
    async with ann.connect() as connection:
        attachment = DelayedCancellation(ann.app, monkeypatch)
        await connection.send(type="subscribe", id="x", payload=payload)
        await attachment.reached.wait()
        await connection.send(type="complete", id="x")
        await connection.send(type="subscribe", id="x", payload=payload)  # the first operation is still being cancelled
        await connection.execute("{ me { id } }")
        attachment.released.set()
        await connection.execute("{ me { id } }")
        await connection.send(type="complete", id="x")  # the second operation
        await connection.execute("{ me { id } }")
        attachment.opened.set()
        # When this stream is ready, all earlier attachments have finished, too.
        await (await connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()
        assert ann.app.roomcast.hub.reader_count == 1
        await connection.send(type="subscribe", id="x", payload=payload)  # the id can be used again
        assert (await connection.next_message("x"))["type"] == "next"
