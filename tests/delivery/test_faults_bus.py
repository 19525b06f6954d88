"""Lost, repeated and reordered frames between bus and hub: the missing events are read from the log."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from roomcast.core import event_log
from roomcast.core.clock import now
from roomcast.core.ids import local_id
from roomcast.messages import models
from roomcast.messages.events import MessageCreated
from roomcast.realtime.bus.bus import Frame
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.conftest import MakeApp
from tests.delivery.resuming_clients import check_all_received, full_or_short, reconnecting_clients, send_concurrently
from tests.running_app import RunningApp

pytestmark = pytest.mark.chaos

TAIL_SECONDS = 3.0


class FaultyFrameDelivery:
    """Loses, repeats and delays frames between the bus and the hub of one app."""

    def __init__(self, app: RunningApp, *, lost: float = 0.0, repeated: float = 0.0, delayed: float = 0.0) -> None:
        self._lost, self._repeated, self._delayed = lost, repeated, delayed
        self._on_frame = app.roomcast.hub.on_frame
        self.dropped = 0
        app.roomcast.bus._on_frame = self.pass_on

    def pass_on(self, frame: Frame) -> None:
        if random.random() < self._lost:
            self.dropped += 1
            return
        for _ in range(2 if random.random() < self._repeated else 1):
            if random.random() < self._delayed:
                asyncio.get_running_loop().call_later(random.uniform(0, 0.05), self._on_frame, frame)
            else:
                self._on_frame(frame)


async def test_lost_repeated_and_reordered_frames_change_nothing(app: RunningApp, ann: UserClient) -> None:
    room_id, count = await ann.create_room("den"), full_or_short(2_000, 300)
    delivery = FaultyFrameDelivery(app, lost=0.2, repeated=0.2, delayed=0.3)
    epoch = app.roomcast.backend.epoch_tracker.current
    async with reconnecting_clients(full_or_short(50, 8), [app], ann, room_id) as clients:
        await send_concurrently([app], ann, room_id, count)
        await check_all_received(clients, ann, room_id, count)
    assert delivery.dropped > count / 10
    assert app.roomcast.backend.epoch_tracker.current == epoch  # the log is not taken for one that has lost events


async def test_a_lost_last_frame_is_found_in_the_log_soon(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await app.wait_for_streams(1)
        FaultyFrameDelivery(app, lost=1.0)
        await ann.send_messages(room_id, "nothing follows")
        async with asyncio.timeout(TAIL_SECONDS):
            assert (await subscription.next_event())["message"]["body"] == "nothing follows"


async def test_a_removed_member_gets_no_more_events_even_if_the_frame_is_lost(
    make_app: MakeApp, app: RunningApp, ann: UserClient, bob: UserClient
) -> None:
    other = await make_app()  # another process: its memory bus sends no frames to the first one
    room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    async with bob.connect() as connection, at(other, ann) as ann_there, at(other, bob) as bob_there:
        subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await subscription.wait_until_ready()
        async with asyncio.timeout(TAIL_SECONDS):
            await bob_there.leave(room_id)
            await ann_there.send_messages(room_id, "without bob")
            assert (await subscription.next_event())["__typename"] == "StreamEnded"
        assert (await subscription.next_message())["type"] == "complete"


def at(app: RunningApp, person: UserClient) -> UserClient:
    tokens = {"accessToken": person.token, "refreshToken": person.refresh_token}
    return UserClient(app, person.name, {"tokens": tokens, "user": {"id": person.id}})


async def test_malformed_frames_do_no_harm(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    topic = f"room:{local_id('room', room_id)}"
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await app.wait_for_streams(1)
        for seq, body in ((2, "nonsense"), (3, "[]"), (10**12, '["message.created"]'), (2, '["unknown",1,2,3,4,5]')):
            app.roomcast.hub.on_frame(Frame(topic, seq, body))
        await ann.send_messages(room_id, "undisturbed")
        assert (await subscription.next_event())["message"]["body"] == "undisturbed"


# ------------------------------------------------------------------ transactions


async def test_slow_and_failing_transactions_never_hide_an_event(app: RunningApp, ann: UserClient) -> None:
    global_id = await ann.create_room("den")
    room_id, author_id = local_id("room", global_id), local_id("user", ann.id)
    assert room_id is not None
    assert author_id is not None
    async with ann.connect() as connection, reading_log(app, room_id) as seen:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=global_id)
        await app.wait_for_streams(1)
        written = await asyncio.gather(
            *(write_slowly(app, room_id, author_id) for _ in range(full_or_short(2_000, 60)))
        )
        committed = sorted(seq for seq in written if seq is not None)
        received = [event["message"]["seq"] for event in await subscription.next_events(len(committed))]
    assert received == committed == list(range(2, len(committed) + 2))
    assert seen == list(range(1, len(seen) + 1))


class RollBack(Exception):
    """Rolls back the transaction."""


async def write_slowly(app: RunningApp, room_id: UUID, author_id: UUID) -> int | None:
    """Write a message in a slow transaction. Returns its seq, or None if it was rolled back."""
    try:
        async with app.roomcast.db.work() as work:
            await asyncio.sleep(random.uniform(0, 0.003))
            message = models.Message(room_id=room_id, author_id=author_id, seq=0, body="late", created_at=now())
            event = await work.record(MessageCreated(room_id=room_id, at=now(), message_id=message.id))
            message.seq = event.seq
            work.session.add(message)
            await asyncio.sleep(random.uniform(0, 0.003))
            if random.random() < 0.3:
                raise RollBack
    except RollBack:
        return None
    return event.seq


@asynccontextmanager
async def reading_log(app: RunningApp, room_id: UUID) -> AsyncIterator[list[int]]:
    """Read the log continuously after the last read seq, as replays do. Yields the list of read seqs."""
    seen: list[int] = []

    async def read() -> None:
        while True:
            async with app.roomcast.db.read() as session:
                seen.extend(
                    event.seq for event in await event_log.events_after(session, room_id, seen[-1] if seen else 0, 7)
                )
            await asyncio.sleep(0)

    task = asyncio.create_task(read())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
