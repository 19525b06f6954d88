"""A failover to a standby that lagged: the newest events are gone, and others take their seqs."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from roomcast.core.event_log import Position, parse_cursor
from roomcast.core.ids import local_id, uuid7
from roomcast.live.inbox import COALESCE_SECONDS
from roomcast.live.room_streams import StreamEndReason
from roomcast.realtime import hub, watchers
from roomcast.realtime.ports import GroupMember
from roomcast.realtime.reader import Reader
from roomcast.realtime.topic import Topic
from roomcast.receipts import queries
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, ClientSubscription, UserClient
from tests.conftest import MakeApp
from tests.delivery.test_failing_streams import POSITION, error_of
from tests.receipts.test_inbox import open_inbox
from tests.receipts.test_lost_frames import at, until_unread
from tests.running_app import RunningApp

LOSE = (
    "DELETE FROM room_events WHERE room_id = :room AND seq > :seq",
    "DELETE FROM messages WHERE room_id = :room AND seq > :seq",
    "UPDATE room_heads SET last_seq = :seq, last_activity_seq = :seq WHERE room_id = :room",
    "UPDATE memberships SET last_read_seq = :seq WHERE room_id = :room AND last_read_seq > :seq",
)


async def position(person: UserClient, room_id: str) -> str:
    return str((await person.execute(POSITION, id=room_id))["room"]["streamCursor"])


async def lose_after(app: RunningApp, cursor: str) -> None:
    """What a failover does to the room's log that had got as far as `cursor` on the standby."""
    before_loss = parse_cursor(cursor)
    room = before_loss.room_id.hex if app.roomcast.db.is_sqlite else before_loss.room_id
    async with app.roomcast.db.work() as work:
        connection = await work.session.connection()
        for statement in LOSE:
            await connection.execute(sa.text(statement), {"room": room, "seq": before_loss.seq})


async def wait_for_unrecovered(subscription: ClientSubscription) -> str:
    """The cursor of the event that says that earlier events cannot be recovered."""
    event = await subscription.next_event()
    while event.get("recovered") is not False:
        event = await subscription.next_event()
    return str(event["cursor"])


async def until_new_epoch(app: RunningApp, before: object) -> None:
    async with asyncio.timeout(10):
        while app.roomcast.backend.epoch_tracker.current == before:  # noqa: ASYNC110 (no one event says it)
            await asyncio.sleep(0.02)


async def test_streams_restart_when_the_log_has_lost_events(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "kept")
    before_loss = await position(ann, room_id)
    async with ann.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        messages = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await app.wait_for_streams(2)
        await ann.send_messages(room_id, "lost")
        lost = (await events.next_event())["cursor"]
        assert (await messages.next_event())["cursor"] == lost

        await lose_after(app, before_loss)
        restarted = parse_cursor(await wait_for_unrecovered(events))
        assert (restarted.seq, restarted.epoch_mark == parse_cursor(before_loss).epoch_mark) == (
            parse_cursor(before_loss).seq,
            False,
        )
        assert error_of(await messages.next_message()) == "RESUME_EXPIRED"

        await ann.send_messages(room_id, "instead", "more")
        assert [(await events.next_event())["message"]["body"] for _ in range(2)] == ["instead", "more"]
        for old in (before_loss, lost):
            resumed = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=old)
            assert (await resumed.next_event())["recovered"] is False
            assert (
                error_of(await (await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=old)).next_message())
                == "RESUME_EXPIRED"
            )


async def test_other_events_at_the_lost_seqs_are_noticed_at_once(
    app: RunningApp, ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has overtaken what was shown before anybody read its end."""
    monkeypatch.setattr(hub, "TAIL_SECONDS", 60.0)
    monkeypatch.setattr(watchers, "CHECK_SECONDS", 60.0)
    await asyncio.sleep(1.1)  # the reads that had begun are over
    room_id = await ann.create_room("den")
    before_loss = await position(ann, room_id)
    async with ann.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        await ann.send_messages(room_id, "lost", "lost as well")
        await events.next_events(2)
        await lose_after(app, before_loss)
        await ann.send_messages(room_id, "instead", "instead as well", "more")
        restarted = parse_cursor(await wait_for_unrecovered(events))
        assert restarted.seq in range(parse_cursor(before_loss).seq, parse_cursor(before_loss).seq + 4)


async def test_a_gap_after_a_cut_bus_reveals_a_replaced_log(
    app: RunningApp, ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TAIL_SECONDS", 60.0)
    monkeypatch.setattr(watchers, "CHECK_SECONDS", 60.0)
    await asyncio.sleep(1.1)
    room_id = await ann.create_room("den")
    before_loss = await position(ann, room_id)
    async with ann.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        await ann.send_messages(room_id, "lost")
        await events.next_event()
        on_frame, app.roomcast.hub.on_frame = app.roomcast.hub.on_frame, lambda frame: None  # type: ignore[method-assign]
        await lose_after(app, before_loss)
        await ann.send_messages(room_id, "instead", "more")
        app.roomcast.hub.on_frame = on_frame  # type: ignore[method-assign]
        app.roomcast.hub.on_resync([f"room:{local_id('room', room_id)}"])
        await wait_for_unrecovered(events)


async def test_other_processes_follow(make_app: MakeApp, app: RunningApp, ann: UserClient, bob: UserClient) -> None:
    other, room_id = await make_app(), await ann.create_room("den", memberIds=[bob.id])
    other_room_id = await ann.create_room("hall")
    before_loss, before = await position(ann, room_id), app.roomcast.backend.epoch_tracker.current
    await ann.send_messages(room_id, "lost")
    lost = await position(ann, room_id)
    async with at(other, ann) as ann_there, ann_there.connect() as connection, ann.connect() as ann_connection:
        await (await ann_connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()
        events = await connection.subscribe(ROOM_EVENTS, roomId=other_room_id)
        await events.wait_until_ready()
        await lose_after(app, before_loss)
        await wait_for_unrecovered(events)
        await until_new_epoch(app, before)
        assert app.roomcast.backend.epoch_tracker.current == other.roomcast.backend.epoch_tracker.current
        await ann.send_messages(room_id, "instead", "more")
        resumed = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=lost)
        assert (await resumed.next_event())["recovered"] is False


async def test_lost_events_are_noticed_in_a_process_without_readers(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    before_loss, before = await position(ann, room_id), app.roomcast.backend.epoch_tracker.current
    await ann.send_messages(room_id, "lost")
    lost = await position(ann, room_id)
    await lose_after(app, before_loss)
    await until_new_epoch(app, before)
    await ann.send_messages(room_id, "instead", "more")
    async with ann.connect() as connection:
        resumed = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=lost)
        assert (await resumed.next_event())["recovered"] is False


async def test_an_inbox_drops_lost_events(app: RunningApp, ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    before_loss = await position(ann, room_id)
    async with open_inbox(bob) as (subscription, _):
        await ann.send_messages(room_id, "lost", "lost as well")
        await until_unread(subscription, room_id, 2)
        await lose_after(app, before_loss)
        await until_unread(subscription, room_id, 0)
        await ann.send_messages(room_id, "instead")
        await until_unread(subscription, room_id, 1)


async def test_a_lost_epoch_is_never_used_again(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    before_loss, first = await position(ann, room_id), app.roomcast.backend.epoch_tracker.current
    await ann.send_messages(room_id, "lost")
    await lose_after(app, before_loss)
    await until_new_epoch(app, first)
    second = app.roomcast.backend.epoch_tracker.current
    async with app.roomcast.db.work() as work:
        epoch = first.hex if app.roomcast.db.is_sqlite else first
        await (await work.session.connection()).execute(sa.text("UPDATE store SET epoch = :epoch"), {"epoch": epoch})
    await until_new_epoch(app, second)
    assert app.roomcast.backend.epoch_tracker.current not in (first, second)


async def begin_in_an_earlier_timeline(app: RunningApp) -> None:
    """What a promotion does: the epoch began in a timeline before the present one."""
    async with app.roomcast.db.work() as work:
        await (await work.session.connection()).execute(sa.text("UPDATE store SET timeline = timeline - 1"))


async def is_recovered(person: UserClient, room_id: str, after: str) -> bool:
    async with person.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=after)
        return bool((await events.next_event())["recovered"])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_promoted_standby_begins_a_new_epoch(app: RunningApp, ann: UserClient) -> None:
    """No process has the room open while its log grows past the lost event: the end of the log shows nothing."""
    room_id = await ann.create_room("general")
    cursor, before = await position(ann, room_id), app.roomcast.backend.epoch_tracker.current
    assert await is_recovered(ann, room_id, cursor)
    await begin_in_an_earlier_timeline(app)
    await until_new_epoch(app, before)
    assert not await is_recovered(ann, room_id, cursor)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_promotion_while_no_process_runs_is_noticed(make_app: MakeApp, app: RunningApp) -> None:
    before = app.roomcast.backend.epoch_tracker.current
    await begin_in_an_earlier_timeline(app)
    later = await make_app()
    assert later.roomcast.backend.epoch_tracker.current != before


@asynccontextmanager
async def suspended_streams(app: RunningApp, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reader]:
    """A new epoch begins, and the tails of the logs are read only at the end of the block. The only reader."""
    source, may_answer = app.roomcast.hub._source, asyncio.Event()
    tails = source.tails

    async def answer_late(topics: Collection[str]) -> Mapping[str, int]:
        await may_answer.wait()
        return await tails(topics)

    [reader] = [reader for group in app.roomcast.hub.groups for reader in group.readers]
    assert isinstance(reader, Reader)
    assert reader.position is not None
    monkeypatch.setattr(source, "tails", answer_late)
    await app.roomcast.backend.epoch_tracker.renew(app.roomcast.backend.epoch)
    yield reader
    may_answer.set()


async def test_no_position_is_told_before_the_streams_have_restarted(
    app: RunningApp, ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping would join a position in the replaced log to the new epoch."""
    room_id = await ann.create_room("general")
    async with ann.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        async with suspended_streams(app, monkeypatch) as reader:
            assert reader.position is None
        assert (await events.next_event())["recovered"] is False
        assert reader.position is not None


async def test_a_stream_that_ends_before_the_restart_names_no_old_position(
    app: RunningApp, ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("general")
    await ann.send_messages(room_id, "one", "two")
    async with ann.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        async with suspended_streams(app, monkeypatch) as reader:
            await reader.end(StreamEndReason.SESSION_REVOKED)
            ready, ended = await events.next_events(2)
    assert (ready["recovered"], ended["__typename"]) == (False, "StreamEnded")
    assert parse_cursor(ended["cursor"]).seq == 0


async def test_a_stream_that_ends_before_it_starts_says_that_its_cursor_was_refused(
    app: RunningApp, ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("general", visibility="PRIVATE", memberIds=[bob.id])
    cursor = parse_cursor(await position(ann, room_id))
    foreign = Position(uuid7(), cursor.room_id, cursor.seq).encode()
    recheck = Topic.recheck_rights

    async def recheck_after_leaving(topic: Topic, reader: GroupMember, seq: int) -> None:
        async with asyncio.timeout(10):
            await bob.leave(room_id)
            while topic._rights_seq <= seq:  # noqa: ASYNC110 (no one event says it)
                await asyncio.sleep(0.02)
        await recheck(topic, reader, seq)

    async with ann.connect() as keeps_the_topic_open, bob.connect() as connection:
        await (await keeps_the_topic_open.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()
        monkeypatch.setattr(Topic, "recheck_rights", recheck_after_leaving)
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=foreign)
        refused, ended = await events.next_events(2)
    assert (refused["__typename"], refused["recovered"]) == ("StreamReady", False)
    assert ended["__typename"] == "StreamEnded"


async def test_an_inbox_follows_a_room_that_was_joined_while_it_counted(
    app: RunningApp, ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of rooms was read before the user joined, the counts after it, and the frame was lost."""
    room_id = await ann.create_room("general", memberIds=[bob.id])

    async def before_joining(_session: object, _user_id: object) -> list[object]:
        return []

    monkeypatch.setattr(queries, "room_ids_of_user", before_joining)
    async with open_inbox(bob) as (inbox, _):
        await ann.send_messages(room_id, "counted by the first resync, perhaps")
        await until_unread(inbox, room_id, 1)
        await asyncio.sleep(2 * COALESCE_SECONDS)  # no resync is left
        await ann.send_messages(room_id, "announced by a frame")
        await until_unread(inbox, room_id, 2)
