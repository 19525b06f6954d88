"""Resuming from a cursor: every later event exactly once and in order, then live events."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from roomcast.core import event_log
from roomcast.core.event_log import Position, parse_cursor
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, ClientSubscription, UserClient

Json = dict[str, Any]

HISTORY = "query History($id: ID!) { messages(roomId: $id, last: 50) { nodes { body } streamCursor } }"
STREAM_CURSOR = "query Cursor($id: ID!) { room(id: $id) { streamCursor } }"


async def cursor_of(person: UserClient, room_id: str) -> str:
    room = (await person.execute(STREAM_CURSOR, id=room_id))["room"]
    return str(room["streamCursor"])


def kinds(events: list[Json]) -> list[str]:
    return [event["__typename"] for event in events]


def bodies(events: list[Json]) -> list[str]:
    return [event["message"]["body"] for event in events if event.get("message")]


async def refusal(subscription: ClientSubscription) -> str:
    message = await subscription.next_message()
    assert message["type"] == "error", message
    return str(message["payload"][0]["extensions"]["code"])


async def test_a_live_stream_starts_with_one_stream_ready(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "before")
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        [ready] = await subscription.wait_until_ready()
        await ann.send_messages(room_id, "after")
        event = await subscription.next_event()
    assert (ready["recovered"], ready["replayedCount"], ready["replayed"]) == (True, 0, False)
    assert (bodies([event]), event["replayed"]) == (["after"], False)


async def test_a_cursor_replays_missed_events_between_two_stream_readys_then_goes_live(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    cursor = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "one", "two", "three")
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=cursor)
        first, *missed, last = [*await subscription.wait_until_ready(), *await subscription.wait_until_ready()]
        await ann.send_messages(room_id, "four")
        live = await subscription.next_event()
    assert (first["cursor"], first["replayedCount"]) == (cursor, 0)
    assert [(event["message"]["body"], event["replayed"]) for event in missed] == [
        ("one", True),
        ("two", True),
        ("three", True),
    ]
    assert (last["cursor"], last["recovered"], last["replayedCount"]) == (missed[-1]["cursor"], True, 3)
    assert (bodies([live]), live["replayed"]) == (["four"], False)


async def test_an_empty_replay_ends_with_stream_ready_too(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    cursor = await cursor_of(ann, room_id)
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=cursor)
        ready = [*await subscription.wait_until_ready(), *await subscription.wait_until_ready()]
    assert kinds(ready) == ["StreamReady", "StreamReady"]
    assert [event["cursor"] for event in ready] == [cursor, cursor]


async def test_room_messages_are_replayed_without_control_events(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    [first] = [await ann.send(room_id, "one")]
    await bob.join(room_id)
    await ann.send_messages(room_id, "two")
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=first["cursor"])
        missed = await subscription.next_events(2)
        await ann.send_messages(room_id, "three")
        live = await subscription.next_event()
    assert [(event["message"]["body"], event["replayed"]) for event in (*missed, live)] == [
        ("bob joined.", True),
        ("two", True),
        ("three", False),
    ]


async def test_a_long_absence_is_replayed_in_order_to_the_last(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    cursor = await cursor_of(ann, room_id)
    await asyncio.gather(*(ann.send(room_id, f"number {n}") for n in range(300)))
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=cursor)
        missed = await subscription.next_events(300)
    assert [event["message"]["seq"] for event in missed] == list(range(2, 302))


# ------------------------------------------------------------------ the map of connection_init


async def test_a_client_that_names_its_cursors_while_connecting_misses_nothing(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    cursor = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "missed")
    async with ann.connect(resume={room_id: cursor}) as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        assert bodies([await subscription.next_event()]) == ["missed"]


@pytest.mark.parametrize("newer", ["after", "resume"])
async def test_the_newer_cursor_of_argument_and_resume_map_is_used(ann: UserClient, newer: str) -> None:
    room_id = await ann.create_room("den")
    old = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "old news")
    new = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "news")
    after, resume = (new, old) if newer == "after" else (old, new)
    async with ann.connect(resume={room_id: resume}) as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=after)
        assert bodies([await subscription.next_event()]) == ["news"]


async def test_the_resume_map_is_used_once_for_each_field_of_a_room(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    cursor = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "missed")
    async with ann.connect(resume={room_id: cursor}) as connection:
        messages = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        assert bodies([await messages.next_event()]) == ["missed"]
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        assert bodies([*await events.wait_until_ready(), *await events.wait_until_ready()]) == ["missed"]
        again = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        assert kinds(await again.wait_until_ready()) == ["StreamReady"]
        await ann.send_messages(room_id, "new")
        assert bodies([await again.next_event()]) == ["new"]


async def test_fields_of_one_room_resume_from_their_own_cursors(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    first = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "one")
    second = await cursor_of(ann, room_id)
    await ann.send_messages(room_id, "two")
    async with ann.connect(resume={f"{room_id}:roomMessages": second, f"{room_id}:roomEvents": first}) as connection:
        messages = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        assert bodies([await messages.next_event()]) == ["two"]
        assert bodies([*await events.wait_until_ready(), *await events.wait_until_ready()]) == ["one", "two"]


# ------------------------------------------------------------------ invalid and expired cursors


async def test_a_cursor_of_another_epoch_or_of_the_future_has_expired(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    position = parse_cursor(await cursor_of(ann, room_id))
    async with ann.app.roomcast.db.read() as session:
        epoch = await event_log.epoch(session)
    another = Position(uuid4(), position.room_id, position.seq).encode()
    future = Position(epoch, position.room_id, position.seq + 1_000).encode()
    async with ann.connect() as connection:
        for cursor in (another, future):
            subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=cursor)
            [ready] = await subscription.wait_until_ready()
            assert (ready["recovered"], ready["cursor"]) == (False, await cursor_of(ann, room_id))
            body = (await ann.send_messages(room_id, "new"))[0]["body"]
            assert bodies([await subscription.next_event()]) == [body]
            assert (
                await refusal(await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=cursor))
                == "RESUME_EXPIRED"
            )


async def test_a_malformed_cursor_or_one_of_another_room_is_bad_input(ann: UserClient) -> None:
    room_id, other_room_id = await ann.create_room("den"), await ann.create_room("attic")
    page = (await ann.execute(HISTORY.replace("nodes { body }", "edges { cursor }"), id=other_room_id))["messages"]
    async with ann.connect() as connection:
        for cursor in (await cursor_of(ann, other_room_id), page["streamCursor"], "", "nonsense", "💥", "A" * 5_000):
            for document in (ROOM_EVENTS, ROOM_MESSAGES):
                assert (
                    await refusal(await connection.subscribe(document, roomId=room_id, after=cursor))
                    == "BAD_USER_INPUT"
                )
        assert kinds(await (await connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()) == [
            "StreamReady"
        ]


async def test_a_cursor_reveals_nothing_to_a_non_member(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    cursor = await cursor_of(ann, room_id)
    async with bob.connect(resume={room_id: cursor}) as connection:
        assert await refusal(await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=cursor)) == "NOT_FOUND"
        assert await refusal(await connection.subscribe(ROOM_EVENTS, roomId="room_nonsense", after="x")) == "NOT_FOUND"


# ------------------------------------------------------------------ a page and the stream after it


async def test_a_page_and_the_stream_from_its_cursor_leave_no_gap_during_sends(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    sending = asyncio.create_task(_send_words(ann, room_id, 60))
    seen: list[tuple[list[str], ClientSubscription]] = []
    async with ann.connect() as connection:
        while not sending.done() and len(seen) < 40:
            page = (await ann.execute(HISTORY, id=room_id))["messages"]
            subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=page["streamCursor"])
            seen.append(([node["body"] for node in page["nodes"]], subscription))
        await sending
        await ann.send_messages(room_id, "the end")
        for page_bodies, subscription in seen:
            received = await until(subscription, "the end")
            assert [*page_bodies, *received][-50:] == [*(f"word {n}" for n in range(60)), "the end"][-50:]
            assert len(set(page_bodies) & set(received)) == 0


async def _send_words(person: UserClient, room_id: str, count: int) -> None:
    for n in range(count):
        await person.send_messages(room_id, f"word {n}")


async def until(subscription: ClientSubscription, last: str) -> list[str]:
    received = [str((await subscription.next_event())["message"]["body"])]
    while received[-1] != last:
        received.append(str((await subscription.next_event())["message"]["body"]))
    return received
