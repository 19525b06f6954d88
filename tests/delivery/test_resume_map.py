"""The cursors of `connection_init`: each is used up when a stream has started from it, whatever happened before."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from roomcast.core.event_log import Position, read_cursor
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.delivery.test_attaching import SlowDoor
from tests.delivery.test_resume import bodies, cursor_of, kinds, refusal


async def test_a_cursor_survives_an_attempt_that_the_database_did_not_let_finish(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    den = await ann.create_room("den")
    cursor = await cursor_of(ann, den)
    await ann.send_messages(den, "missed")
    engine = ann.app.roomcast.sockets._engine
    monkeypatch.setattr(engine, "_subscribe", failing_at_first(engine._subscribe))
    async with ann.connect(resume={den: cursor}) as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        assert bodies([await watching.next_event()]) == ["missed"]


def failing_at_first(step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The database goes away after the first attempt has asked for everything, and before it has ended."""
    attempts = []

    async def attempt(*arguments: Any) -> Any:
        found = await step(*arguments)
        attempts.append(found)
        if len(attempts) == 1:
            raise ConnectionResetError
        return found

    return attempt


async def test_a_cursor_survives_an_attempt_that_took_too_long(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    den = await ann.create_room("den")
    cursor = await cursor_of(ann, den)
    await ann.send_messages(den, "missed")
    engine = ann.app.roomcast.sockets._engine
    attempt, limits = engine._subscribe, engine.limits

    async def too_long_at_first(*arguments: Any) -> Any:
        try:
            return await attempt(*arguments)
        finally:
            engine.limits = limits

    engine.limits = replace(limits, operation_seconds=0)
    monkeypatch.setattr(engine, "_subscribe", too_long_at_first)
    async with ann.connect(resume={den: cursor}) as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        assert bodies([await watching.next_event()]) == ["missed"]


async def test_a_cursor_survives_a_subscription_that_was_given_up_while_it_was_opened(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    den = await ann.create_room("den")
    cursor = await cursor_of(ann, den)
    await ann.send_messages(den, "missed")
    async with ann.connect(resume={den: cursor}) as wire:
        door = SlowDoor(ann.app, monkeypatch)
        given_up = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await door.reached.wait()
        await given_up.stop()
        again = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        door.opened.set()
        assert bodies([await again.next_event()]) == ["missed"]
        assert given_up.is_empty


async def test_streams_that_are_asked_for_together_all_begin_at_the_cursor(ann: UserClient) -> None:
    den = await ann.create_room("den")
    cursor = await cursor_of(ann, den)
    await ann.send_messages(den, "missed")
    async with ann.connect(resume={den: cursor}) as wire:
        together = [await wire.subscribe(ROOM_MESSAGES, roomId=den) for _ in range(2)]
        assert [bodies([await watching.next_event()]) for watching in together] == [["missed"], ["missed"]]
        later = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await ann.app.wait_for_streams(3)
        await ann.send_messages(den, "new")
        assert bodies([await later.next_event()]) == ["new"]


async def test_each_stream_of_a_room_resumes_from_the_cursor_under_its_own_id(ann: UserClient) -> None:
    den = await ann.create_room("den")
    first = await cursor_of(ann, den)
    await ann.send_messages(den, "one")
    second = await cursor_of(ann, den)
    await ann.send_messages(den, "two")
    async with ann.connect(resume={"1": second, "2": first}) as wire:
        ahead, behind = [await wire.subscribe(ROOM_MESSAGES, roomId=den) for _ in range(2)]
        assert bodies([await ahead.next_event()]) == ["two"]
        assert bodies(await behind.next_events(2)) == ["one", "two"]
        await ahead.stop()
        payload = {"query": ROOM_EVENTS, "variables": {"roomId": den}}
        await wire.send(type="subscribe", id="1", payload=payload)  # another subscription: the cursor is not its
        started = await wire.next_message("1")
        assert kinds(started["payload"]["data"].values()) == ["StreamReady"]


async def test_a_cursor_that_was_called_expired_is_used_up(ann: UserClient) -> None:
    den = await ann.create_room("den")
    place = read_cursor(await cursor_of(ann, den))
    expired = Position(uuid4(), place.room_id, place.seq).encode()
    async with ann.connect(resume={den: expired}) as wire:
        assert await refusal(await wire.subscribe(ROOM_MESSAGES, roomId=den)) == "RESUME_EXPIRED"
        anew = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await ann.app.wait_for_streams(1)
        await ann.send_messages(den, "new")
        assert bodies([await anew.next_event()]) == ["new"]
