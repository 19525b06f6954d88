"""Coming back with a cursor: everything after it exactly once, in order, then live."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from roomcast.core import event_log
from roomcast.core.event_log import Position, read_cursor
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


async def refusal(watching: ClientSubscription) -> str:
    message = await watching.next_message()
    assert message["type"] == "error", message
    return str(message["payload"][0]["extensions"]["code"])


async def test_a_stream_from_now_begins_with_one_word_that_it_is_live(ann: UserClient) -> None:
    den = await ann.create_room("den")
    await ann.send_messages(den, "before")
    async with ann.connect() as wire:
        watching = await wire.subscribe(ROOM_EVENTS, roomId=den)
        [ready] = await watching.wait_until_ready()
        await ann.send_messages(den, "after")
        told = await watching.next_event()
    assert (ready["recovered"], ready["replayedCount"], ready["replayed"]) == (True, 0, False)
    assert (bodies([told]), told["replayed"]) == (["after"], False)


async def test_a_cursor_brings_all_that_was_missed_between_two_words_and_then_what_is_new(ann: UserClient) -> None:
    den = await ann.create_room("den")
    cursor = await cursor_of(ann, den)
    await ann.send_messages(den, "one", "two", "three")
    async with ann.connect() as wire:
        watching = await wire.subscribe(ROOM_EVENTS, roomId=den, after=cursor)
        first, *missed, last = [*await watching.wait_until_ready(), *await watching.wait_until_ready()]
        await ann.send_messages(den, "four")
        live = await watching.next_event()
    assert (first["cursor"], first["replayedCount"]) == (cursor, 0)
    assert [(event["message"]["body"], event["replayed"]) for event in missed] == [
        ("one", True),
        ("two", True),
        ("three", True),
    ]
    assert (last["cursor"], last["recovered"], last["replayedCount"]) == (missed[-1]["cursor"], True, 3)
    assert (bodies([live]), live["replayed"]) == (["four"], False)


async def test_a_replay_of_nothing_ends_with_its_word_too(ann: UserClient) -> None:
    den = await ann.create_room("den")
    cursor = await cursor_of(ann, den)
    async with ann.connect() as wire:
        watching = await wire.subscribe(ROOM_EVENTS, roomId=den, after=cursor)
        ready = [*await watching.wait_until_ready(), *await watching.wait_until_ready()]
    assert kinds(ready) == ["StreamReady", "StreamReady"]
    assert [event["cursor"] for event in ready] == [cursor, cursor]


async def test_messages_alone_are_replayed_without_words_about_the_stream(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    [first] = [await ann.send(den, "one")]
    await bob.join(den)
    await ann.send_messages(den, "two")
    async with ann.connect() as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den, after=first["cursor"])
        missed = await watching.next_events(2)
        await ann.send_messages(den, "three")
        live = await watching.next_event()
    assert [(told["message"]["body"], told["replayed"]) for told in (*missed, live)] == [
        ("@bob joined.", True),
        ("two", True),
        ("three", False),
    ]


async def test_a_long_absence_is_replayed_in_order_to_the_last(ann: UserClient) -> None:
    den = await ann.create_room("den")
    cursor = await cursor_of(ann, den)
    await asyncio.gather(*(ann.send(den, f"number {n}") for n in range(300)))
    async with ann.connect() as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den, after=cursor)
        missed = await watching.next_events(300)
    assert [told["message"]["seq"] for told in missed] == list(range(2, 302))


# ------------------------------------------------------------------ the map of connection_init


async def test_a_client_that_names_its_cursors_while_connecting_misses_nothing(ann: UserClient) -> None:
    den = await ann.create_room("den")
    cursor = await cursor_of(ann, den)
    await ann.send_messages(den, "missed")
    async with ann.connect(resume={den: cursor}) as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        assert bodies([await watching.next_event()]) == ["missed"]


@pytest.mark.parametrize("newer", ["after", "resume"])
async def test_of_the_argument_and_the_map_the_newer_cursor_counts(ann: UserClient, newer: str) -> None:
    den = await ann.create_room("den")
    old = await cursor_of(ann, den)
    await ann.send_messages(den, "old news")
    new = await cursor_of(ann, den)
    await ann.send_messages(den, "news")
    after, resume = (new, old) if newer == "after" else (old, new)
    async with ann.connect(resume={den: resume}) as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den, after=after)
        assert bodies([await watching.next_event()]) == ["news"]


async def test_the_map_is_used_once_for_each_field_of_a_room(ann: UserClient) -> None:
    den = await ann.create_room("den")
    cursor = await cursor_of(ann, den)
    await ann.send_messages(den, "missed")
    async with ann.connect(resume={den: cursor}) as wire:
        messages = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        assert bodies([await messages.next_event()]) == ["missed"]
        events = await wire.subscribe(ROOM_EVENTS, roomId=den)
        assert bodies([*await events.wait_until_ready(), *await events.wait_until_ready()]) == ["missed"]
        again = await wire.subscribe(ROOM_EVENTS, roomId=den)
        assert kinds(await again.wait_until_ready()) == ["StreamReady"]
        await ann.send_messages(den, "new")
        assert bodies([await again.next_event()]) == ["new"]


async def test_fields_of_one_room_resume_from_cursors_of_their_own(ann: UserClient) -> None:
    den = await ann.create_room("den")
    first = await cursor_of(ann, den)
    await ann.send_messages(den, "one")
    second = await cursor_of(ann, den)
    await ann.send_messages(den, "two")
    async with ann.connect(resume={f"{den}:roomMessages": second, f"{den}:roomEvents": first}) as wire:
        messages = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        events = await wire.subscribe(ROOM_EVENTS, roomId=den)
        assert bodies([await messages.next_event()]) == ["two"]
        assert bodies([*await events.wait_until_ready(), *await events.wait_until_ready()]) == ["one", "two"]


# ------------------------------------------------------------------ cursors that cannot be honoured


async def test_a_cursor_of_another_epoch_or_of_the_future_has_expired(ann: UserClient) -> None:
    den = await ann.create_room("den")
    place = read_cursor(await cursor_of(ann, den))
    async with ann.app.roomcast.db.read() as session:
        epoch = await event_log.epoch(session)
    another = Position(uuid4(), place.room_id, place.seq).encode()
    future = Position(epoch, place.room_id, place.seq + 1_000).encode()
    async with ann.connect() as wire:
        for cursor in (another, future):
            watching = await wire.subscribe(ROOM_EVENTS, roomId=den, after=cursor)
            [ready] = await watching.wait_until_ready()
            assert (ready["recovered"], ready["cursor"]) == (False, await cursor_of(ann, den))
            said = (await ann.send_messages(den, "new"))[0]["body"]
            assert bodies([await watching.next_event()]) == [said]
            assert await refusal(await wire.subscribe(ROOM_MESSAGES, roomId=den, after=cursor)) == "RESUME_EXPIRED"


async def test_a_cursor_of_another_room_and_nonsense_are_bad_input(ann: UserClient) -> None:
    den, attic = await ann.create_room("den"), await ann.create_room("attic")
    page = (await ann.execute(HISTORY.replace("nodes { body }", "edges { cursor }"), id=attic))["messages"]
    async with ann.connect() as wire:
        for cursor in (await cursor_of(ann, attic), page["streamCursor"], "", "nonsense", "💥", "A" * 5_000):
            for document in (ROOM_EVENTS, ROOM_MESSAGES):
                assert await refusal(await wire.subscribe(document, roomId=den, after=cursor)) == "BAD_USER_INPUT"
        assert kinds(await (await wire.subscribe(ROOM_EVENTS, roomId=den)).wait_until_ready()) == ["StreamReady"]


async def test_a_stranger_learns_nothing_by_a_cursor(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", visibility="PRIVATE")
    cursor = await cursor_of(ann, den)
    async with bob.connect(resume={den: cursor}) as wire:
        assert await refusal(await wire.subscribe(ROOM_EVENTS, roomId=den, after=cursor)) == "NOT_FOUND"
        assert await refusal(await wire.subscribe(ROOM_EVENTS, roomId="room_nonsense", after="x")) == "NOT_FOUND"


# ------------------------------------------------------------------ a page and the stream after it


async def test_a_page_and_the_stream_from_its_cursor_leave_no_hole_while_others_send(ann: UserClient) -> None:
    den = await ann.create_room("den")
    sending = asyncio.create_task(_talk(ann, den, 60))
    seen: list[tuple[list[str], ClientSubscription]] = []
    async with ann.connect() as wire:
        while not sending.done() and len(seen) < 40:
            page = (await ann.execute(HISTORY, id=den))["messages"]
            watching = await wire.subscribe(ROOM_MESSAGES, roomId=den, after=page["streamCursor"])
            seen.append(([node["body"] for node in page["nodes"]], watching))
        await sending
        await ann.send_messages(den, "the end")
        for page_bodies, watching in seen:
            heard = await until(watching, "the end")
            assert [*page_bodies, *heard][-50:] == [*(f"word {n}" for n in range(60)), "the end"][-50:]
            assert len(set(page_bodies) & set(heard)) == 0


async def _talk(person: UserClient, room_id: str, count: int) -> None:
    for n in range(count):
        await person.send_messages(room_id, f"word {n}")


async def until(watching: ClientSubscription, last: str) -> list[str]:
    heard = [str((await watching.next_event())["message"]["body"])]
    while heard[-1] != last:
        heard.append(str((await watching.next_event())["message"]["body"]))
    return heard
