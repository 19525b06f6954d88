"""A failover to a standby that lagged: the newest events are gone, and others take their seqs."""

import asyncio

import pytest
import sqlalchemy as sa

from roomcast.core.event_log import parse_cursor
from roomcast.core.ids import local_id
from roomcast.realtime import hub, watchers
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
    kept = parse_cursor(cursor)
    room = kept.room_id.hex if app.roomcast.db.is_sqlite else kept.room_id
    async with app.roomcast.db.work() as work:
        connection = await work.session.connection()
        for statement in LOSE:
            await connection.execute(sa.text(statement), {"room": room, "seq": kept.seq})


async def until_lost_is_said(watching: ClientSubscription) -> str:
    """The cursor of the event that says that the stream begins anew."""
    event = await watching.next_event()
    while event.get("recovered") is not False:
        event = await watching.next_event()
    return str(event["cursor"])


async def until_new_epoch(app: RunningApp, before: object) -> None:
    async with asyncio.timeout(10):
        while app.roomcast.backend.epoch_tracker.current == before:  # noqa: ASYNC110 (no one event says it)
            await asyncio.sleep(0.02)


async def test_streams_restart_when_the_log_has_lost_events(app: RunningApp, ann: UserClient) -> None:
    den = await ann.create_room("den")
    await ann.send_messages(den, "kept")
    kept = await position(ann, den)
    async with ann.connect() as wire:
        events = await wire.subscribe(ROOM_EVENTS, roomId=den)
        await events.wait_until_ready()
        messages = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await app.wait_for_streams(2)
        await ann.send_messages(den, "lost")
        lost = (await events.next_event())["cursor"]
        assert (await messages.next_event())["cursor"] == lost

        await lose_after(app, kept)
        anew = parse_cursor(await until_lost_is_said(events))
        assert (anew.seq, anew.epoch_mark == parse_cursor(kept).epoch_mark) == (parse_cursor(kept).seq, False)
        assert error_of(await messages.next_message()) == "RESUME_EXPIRED"

        await ann.send_messages(den, "instead", "more")
        assert [(await events.next_event())["message"]["body"] for _ in range(2)] == ["instead", "more"]
        for old in (kept, lost):
            again = await wire.subscribe(ROOM_EVENTS, roomId=den, after=old)
            assert (await again.next_event())["recovered"] is False
            assert (
                error_of(await (await wire.subscribe(ROOM_MESSAGES, roomId=den, after=old)).next_message())
                == "RESUME_EXPIRED"
            )


async def test_other_events_at_the_lost_seqs_are_noticed_at_once(
    app: RunningApp, ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has overtaken what was shown before anybody looked at its end."""
    monkeypatch.setattr(hub, "TAIL_SECONDS", 60.0)
    monkeypatch.setattr(watchers, "CHECK_SECONDS", 60.0)
    await asyncio.sleep(1.1)  # the looks that had begun are over
    den = await ann.create_room("den")
    kept = await position(ann, den)
    async with ann.connect() as wire:
        events = await wire.subscribe(ROOM_EVENTS, roomId=den)
        await events.wait_until_ready()
        await ann.send_messages(den, "lost", "lost as well")
        await events.next_events(2)
        await lose_after(app, kept)
        await ann.send_messages(den, "instead", "instead as well", "more")
        anew = parse_cursor(await until_lost_is_said(events))
        assert anew.seq in range(parse_cursor(kept).seq, parse_cursor(kept).seq + 4)


async def test_a_gap_after_a_cut_bus_reveals_a_replaced_log(
    app: RunningApp, ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TAIL_SECONDS", 60.0)
    monkeypatch.setattr(watchers, "CHECK_SECONDS", 60.0)
    await asyncio.sleep(1.1)
    den = await ann.create_room("den")
    kept = await position(ann, den)
    async with ann.connect() as wire:
        events = await wire.subscribe(ROOM_EVENTS, roomId=den)
        await events.wait_until_ready()
        await ann.send_messages(den, "lost")
        await events.next_event()
        deaf, app.roomcast.hub.on_frame = app.roomcast.hub.on_frame, lambda frame: None  # type: ignore[method-assign]
        await lose_after(app, kept)
        await ann.send_messages(den, "instead", "more")
        app.roomcast.hub.on_frame = deaf  # type: ignore[method-assign]
        app.roomcast.hub.on_resync([f"room:{local_id('room', den)}"])
        await until_lost_is_said(events)


async def test_other_processes_follow(make_app: MakeApp, app: RunningApp, ann: UserClient, bob: UserClient) -> None:
    other, den = await make_app(), await ann.create_room("den", memberIds=[bob.id])
    hall = await ann.create_room("hall")
    kept, before = await position(ann, den), app.roomcast.backend.epoch_tracker.current
    await ann.send_messages(den, "lost")
    lost = await position(ann, den)
    async with at(other, ann) as ann_there, ann_there.connect() as wire, ann.connect() as here:
        await (await here.subscribe(ROOM_EVENTS, roomId=den)).wait_until_ready()
        events = await wire.subscribe(ROOM_EVENTS, roomId=hall)
        await events.wait_until_ready()
        await lose_after(app, kept)
        await until_lost_is_said(events)
        await until_new_epoch(app, before)
        assert app.roomcast.backend.epoch_tracker.current == other.roomcast.backend.epoch_tracker.current
        await ann.send_messages(den, "instead", "more")
        again = await wire.subscribe(ROOM_EVENTS, roomId=den, after=lost)
        assert (await again.next_event())["recovered"] is False


async def test_lost_events_are_noticed_in_a_process_without_readers(app: RunningApp, ann: UserClient) -> None:
    den = await ann.create_room("den")
    kept, before = await position(ann, den), app.roomcast.backend.epoch_tracker.current
    await ann.send_messages(den, "lost")
    lost = await position(ann, den)
    await lose_after(app, kept)
    await until_new_epoch(app, before)
    await ann.send_messages(den, "instead", "more")
    async with ann.connect() as wire:
        again = await wire.subscribe(ROOM_EVENTS, roomId=den, after=lost)
        assert (await again.next_event())["recovered"] is False


async def test_an_inbox_drops_lost_events(app: RunningApp, ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    kept = await position(ann, den)
    async with open_inbox(bob) as (watching, _):
        await ann.send_messages(den, "lost", "lost as well")
        await until_unread(watching, den, 2)
        await lose_after(app, kept)
        await until_unread(watching, den, 0)
        await ann.send_messages(den, "instead")
        await until_unread(watching, den, 1)


async def test_a_lost_epoch_is_never_used_again(app: RunningApp, ann: UserClient) -> None:
    den = await ann.create_room("den")
    kept, first = await position(ann, den), app.roomcast.backend.epoch_tracker.current
    await ann.send_messages(den, "lost")
    await lose_after(app, kept)
    await until_new_epoch(app, first)
    second = app.roomcast.backend.epoch_tracker.current
    async with app.roomcast.db.work() as work:
        epoch = first.hex if app.roomcast.db.is_sqlite else first
        await (await work.session.connection()).execute(sa.text("UPDATE store SET epoch = :epoch"), {"epoch": epoch})
    await until_new_epoch(app, second)
    assert app.roomcast.backend.epoch_tracker.current not in (first, second)
