"""The cursors of `connection_init`: each is used up when a stream has started from it, and not before."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from roomcast.core.event_log import Position, parse_cursor
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.delivery.test_attaching import DelayedAttachment
from tests.delivery.test_resume import bodies, cursor_of, kinds, refusal


async def test_a_cursor_is_kept_when_the_database_interrupts_the_subscription(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("den")
    cursor = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "missed")
    engine = ann.app.roomcast.sockets._engine
    monkeypatch.setattr(engine, "_subscribe", failing_at_first(engine._subscribe))
    async with ann.connect(resume={room_id: cursor}) as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        assert bodies([await subscription.next_event()]) == ["missed"]


def failing_at_first(step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Fail the first attempt after its queries, as if the database connection were lost then."""
    attempts = []

    async def attempt(*arguments: Any) -> Any:
        found = await step(*arguments)
        attempts.append(found)
        if len(attempts) == 1:
            raise ConnectionResetError
        return found

    return attempt


async def test_a_cursor_is_kept_when_the_subscription_times_out(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("den")
    cursor = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "missed")
    engine = ann.app.roomcast.sockets._engine
    attempt, limits = engine._subscribe, engine.limits

    async def time_out_at_first(*arguments: Any) -> Any:
        try:
            return await attempt(*arguments)
        finally:
            engine.limits = limits

    engine.limits = replace(limits, operation_seconds=0)
    monkeypatch.setattr(engine, "_subscribe", time_out_at_first)
    async with ann.connect(resume={room_id: cursor}) as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        assert bodies([await subscription.next_event()]) == ["missed"]


async def test_a_cursor_is_kept_when_the_subscription_is_cancelled_while_opening(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("den")
    cursor = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "missed")
    async with ann.connect(resume={room_id: cursor}) as connection:
        attachment = DelayedAttachment(ann.app, monkeypatch)
        cancelled = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await attachment.reached.wait()
        await cancelled.stop()
        again = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        attachment.opened.set()
        assert bodies([await again.next_event()]) == ["missed"]
        assert cancelled.is_empty


async def test_streams_requested_together_all_start_at_the_cursor(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    cursor = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "missed")
    async with ann.connect(resume={room_id: cursor}) as connection:
        subscriptions = [await connection.subscribe(ROOM_MESSAGES, roomId=room_id) for _ in range(2)]
        assert [bodies([await subscription.next_event()]) for subscription in subscriptions] == [["missed"], ["missed"]]
        later = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(3)
        await ann.send_messages(room_id, "new")
        assert bodies([await later.next_event()]) == ["new"]


async def test_each_stream_of_a_room_resumes_from_the_cursor_under_its_own_id(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    first = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "one")
    second = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "two")
    async with ann.connect(resume={"1": second, "2": first}) as connection:
        ahead, behind = [await connection.subscribe(ROOM_MESSAGES, roomId=room_id) for _ in range(2)]
        assert bodies([await ahead.next_event()]) == ["two"]
        assert bodies(await behind.next_events(2)) == ["one", "two"]
        await ahead.stop()
        payload = {"query": ROOM_EVENTS, "variables": {"roomId": room_id}}
        # Another subscription with the same id: the cursor does not belong to it.
        await connection.send(type="subscribe", id="1", payload=payload)
        started = await connection.next_message("1")
        assert kinds(started["payload"]["data"].values()) == ["StreamReady"]


async def test_a_cursor_reported_as_expired_is_used_up(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    position = parse_cursor(await cursor_of(ann, room_id))
    expired = Position(uuid4(), position.room_id, position.seq).encode()
    async with ann.connect(resume={room_id: expired}) as connection:
        assert await refusal(await connection.subscribe(ROOM_MESSAGES, roomId=room_id)) == "RESUME_EXPIRED"
        again = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(1)
        await ann.send_messages(room_id, "new")
        assert bodies([await again.next_event()]) == ["new"]
