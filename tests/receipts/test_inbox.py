"""The inbox: a snapshot, then absolute changes of all of a person's rooms, whatever the bus loses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from roomcast.realtime import watchers
from tests.api_clients import ClientSubscription, Json, UserClient
from tests.receipts.test_unread import MARK_READ, SET_PREFERENCES
from tests.rooms.documents import change, mutation

ROOM = "roomId unreadCount unreadIsCapped mentionCount lastReadSeq"
INBOX = (
    "subscription Inbox { inboxEvents { __typename "
    "... on InboxSnapshot { rooms { " + ROOM + " } totalUnread totalMentions } "
    "... on UnreadChanged { room { " + ROOM + " } totalUnread totalMentions } "
    "... on RoomListChanged { roomId change now: room { name viewerMembership { favourite } } } } }"
)


@pytest.fixture(autouse=True)
def no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bus loses here is found because it says so, and not by a look at the log: see test_lost_frames."""
    monkeypatch.setattr(watchers, "LOOK_SECONDS", 60.0)


@asynccontextmanager
async def open_inbox(person: UserClient) -> AsyncIterator[tuple[ClientSubscription, Json]]:
    """This person's open inbox, and its first snapshot."""
    async with person.socket() as wire:
        watching = await wire.watch(INBOX)
        snapshot = await watching.next()
        assert snapshot["__typename"] == "InboxSnapshot"
        yield watching, snapshot


async def wait_for_event(watching: ClientSubscription, kind: str, **values: object) -> Json:
    """The next event of that kind that shows these values: what is said of one change depends on how it is cut."""
    while True:
        event = await watching.next()
        shown = {**event, **(event.get("room") or {})}
        if event["__typename"] == kind and values.items() <= shown.items():
            return event


async def test_an_inbox_begins_with_all_rooms_and_follows_what_happens(ann: UserClient, bob: UserClient) -> None:
    den, hall = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    await ann.say(den, "before")
    async with open_inbox(bob) as (watching, snapshot):
        assert {room["roomId"]: room["unreadCount"] for room in snapshot["rooms"]} == {den: 1, hall: 0}
        *_, last = await ann.say(hall, "one", "@bob")
        told = await wait_for_event(watching, "UnreadChanged", roomId=hall, unreadCount=2)
        assert (told["room"]["mentionCount"], told["totalUnread"], told["totalMentions"]) == (1, 3, 1)
        await bob.mutate(MARK_READ, roomId=hall, upToMessageId=last["id"])
        told = await wait_for_event(watching, "UnreadChanged", roomId=hall, unreadCount=0)
        assert (told["totalUnread"], told["totalMentions"]) == (1, 0)


async def test_rooms_come_and_go_and_change(ann: UserClient, bob: UserClient) -> None:
    async with open_inbox(bob) as (watching, snapshot):
        assert (snapshot["rooms"], snapshot["totalUnread"]) == ([], 0)
        den = await ann.create_room("den", memberIds=[bob.id])
        assert (await wait_for_event(watching, "RoomListChanged", change="ADDED"))["now"]["name"] == "den"
        await ann.say(den, "hello")
        await wait_for_event(watching, "UnreadChanged", roomId=den, unreadCount=1)
        await bob.mutate(SET_PREFERENCES, roomId=den, favourite=True)
        told = await wait_for_event(watching, "RoomListChanged", change="UPDATED")
        assert told["now"]["viewerMembership"] == {"favourite": True}
        await bob.leave(den)
        told = await wait_for_event(watching, "RoomListChanged", change="REMOVED")
        assert (told["roomId"], told["now"]) == (den, None)


async def test_a_burst_is_told_in_few_words(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    async with open_inbox(bob) as (watching, _):
        await ann.say(den, *(f"number {n}" for n in range(40)))
        told = 1
        while (await watching.next()).get("room", {}).get("unreadCount") != 40:
            told += 1
        assert told < 40


async def test_after_a_gap_of_the_bus_a_fresh_snapshot_says_what_was_missed(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    app = ann.app.roomcast
    async with open_inbox(bob) as (watching, _):
        await ann.say(den, "heard")
        await wait_for_event(watching, "UnreadChanged", unreadCount=1)
        deaf, app.watch.on_frame = app.watch.on_frame, lambda frame: None  # type: ignore[method-assign]
        await ann.say(den, "not heard")
        app.watch.on_frame = deaf  # type: ignore[method-assign]
        app.watch.on_resync([f"room:{den.removeprefix('room_')}"])
        snapshot = await wait_for_event(watching, "InboxSnapshot")
        assert [room["unreadCount"] for room in snapshot["rooms"]] == [2]


async def test_a_new_name_that_was_not_heard_is_told_after_the_gap(ann: UserClient, bob: UserClient) -> None:
    den, _ = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    app = ann.app.roomcast
    async with open_inbox(bob) as (watching, _):
        deaf, app.watch.on_frame = app.watch.on_frame, lambda frame: None  # type: ignore[method-assign]
        await change(ann, "updateRoom", roomId=den, name="lair")
        app.watch.on_frame = deaf  # type: ignore[method-assign]
        app.watch.on_resync([f"room:{den.removeprefix('room_')}"])
        event = await watching.next()
    assert (event["__typename"], event["roomId"], event["change"]) == ("RoomListChanged", den, "UPDATED")
    assert event["now"]["name"] == "lair"


async def test_a_snapshot_after_a_gap_swallows_no_change_that_was_heard(ann: UserClient, bob: UserClient) -> None:
    den, hall = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    app = ann.app.roomcast
    async with open_inbox(bob) as (watching, _):
        deaf, app.watch.on_frame = app.watch.on_frame, lambda frame: None  # type: ignore[method-assign]
        await ann.say(hall, "not heard")
        app.watch.on_frame = deaf  # type: ignore[method-assign]
        app.watch.on_resync([f"room:{hall.removeprefix('room_')}"])
        await change(ann, "updateRoom", roomId=den, name="lair")
        told = list[Json]()
        while not {"InboxSnapshot", den} <= {event.get("roomId", event["__typename"]) for event in told}:
            told.append(await watching.next())
    renamed = next(event for event in told if event.get("roomId") == den)
    assert (renamed["roomId"], renamed["change"], renamed["now"]["name"]) == (den, "UPDATED", "lair")


@pytest.mark.parametrize("kind", ["a room", "a direct conversation"])
async def test_a_room_that_one_came_into_during_a_gap_is_heard_after_it(
    ann: UserClient, bob: UserClient, kind: str
) -> None:
    app = ann.app.roomcast
    async with open_inbox(bob) as (watching, _):
        deaf, app.watch.on_frame = app.watch.on_frame, lambda frame: None  # type: ignore[method-assign]
        if kind == "a room":
            den = await ann.create_room("den", memberIds=[bob.id])
        else:
            den = (await ann.mutate(mutation("openDirectMessage"), userIds=[bob.id]))["room"]["id"]
        app.watch.on_frame = deaf  # type: ignore[method-assign]
        app.watch.on_resync([f"user:{bob.id.removeprefix('user_')}"])
        async with asyncio.timeout(5):
            while f"room:{den.removeprefix('room_')}" not in app.watch.topics:  # noqa: ASYNC110 (no one event says it)
                await asyncio.sleep(0.01)
        await ann.say(den, "heard")
        await wait_for_event(watching, "UnreadChanged", unreadCount=1)


async def test_a_stranger_has_no_inbox(ann: UserClient) -> None:
    ann.token = None
    async with ann.socket() as wire:
        watching = await wire.watch(INBOX)
        message = await watching.message()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
