"""Streams that the server ends: what their last cursor covers, and that a failure is sent as an error."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from roomcast.core.event_log import parse_cursor
from roomcast.realtime import retry
from roomcast.realtime.ports import FeedEntry
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, Json, UserClient
from tests.receipts.test_inbox import open_inbox
from tests.running_app import RunningApp

POSITION = "query Position($id: ID!) { room(id: $id) { streamCursor } }"


@pytest.fixture
def few_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "DEFECT_TRIES", 2)


@asynccontextmanager
async def unreadable_log(app: RunningApp, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Event]:
    """Delay reads of the log until the end of the block. Yields an event that is set when a read is waiting."""
    source = app.roomcast.hub._source
    read_started, read_may_finish, after = asyncio.Event(), asyncio.Event(), source.after

    async def wait(topic: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        read_started.set()
        await read_may_finish.wait()
        return await after(topic, seq, limit)

    monkeypatch.setattr(source, "after", wait)
    yield read_started
    read_may_finish.set()


async def execute(app: RunningApp, statement: str) -> None:
    async with app.roomcast.db.work() as work:
        await (await work.session.connection()).execute(sa.text(statement))


def error_of(message: Json) -> str:
    assert message["type"] == "error", message
    return str(message["payload"][0]["extensions"]["code"])


async def test_the_last_cursor_of_a_stream_covers_only_sent_events(
    app: RunningApp, ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    cursor = (await bob.execute(POSITION, id=room_id))["room"]["streamCursor"]
    await ann.send_messages(room_id, "one", "two", "three")
    async with bob.connect() as connection, unreadable_log(app, monkeypatch) as read_started:
        subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=cursor)
        assert (await subscription.next_event())["__typename"] == "StreamReady"
        await read_started.wait()  # the replay has started
        await bob.leave(room_id)
        ended = await subscription.next_event()
    assert ended["__typename"] == "StreamEnded"
    assert parse_cursor(ended["cursor"]).seq == parse_cursor(cursor).seq


@pytest.mark.usefixtures("few_retries")
async def test_a_replay_that_fails_ends_with_an_error_and_is_counted(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    cursor = (await ann.execute(POSITION, id=room_id))["room"]["streamCursor"]
    await ann.send_messages(room_id, "broken", "whole")
    await execute(app, "UPDATE room_events SET kind = 'NONSENSE' WHERE seq = 2")
    async with ann.connect() as connection:
        replaying = await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=cursor)
        live = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        assert error_of(await replaying.next_message()) == "INTERNAL"
        await ann.send_messages(room_id, "others go on")
        assert (await live.next_event())["message"]["body"] == "others go on"
    assert "roomcast_streams_failed_total 1.0" in (await ann.http.get("/metrics")).text


@pytest.mark.usefixtures("few_retries")
async def test_a_topic_that_fails_ends_its_streams_with_an_error(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await app.wait_for_streams(1)
        app.roomcast.hub.on_frame = lambda frame: None  # type: ignore[method-assign]
        await ann.send_messages(room_id, "not delivered")
        await execute(app, "UPDATE room_events SET kind = 'NONSENSE' WHERE seq = 2")
        assert error_of(await subscription.next_message()) == "INTERNAL"
        await app.wait_for_streams(0)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_an_inbox_that_fails_ends_with_an_error_and_is_counted(
    app: RunningApp, ann: UserClient, bob: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with open_inbox(bob) as (subscription, _):
        await execute(app, "ALTER TABLE mentions RENAME COLUMN user_id TO nobody")
        await execute(app, "UPDATE memberships SET last_read_seq = 0")
        app.roomcast.backend.watchers.on_resync([f"room:{room_id.removeprefix('room_')}"])
        assert error_of(await subscription.next_message()) == "INTERNAL"
    assert "roomcast_streams_failed_total 1.0" in (await ann.http.get("/metrics")).text
