"""The inbox: a snapshot of all of a user's rooms, then absolute changes, also after gaps of the bus."""

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
    "... on InboxSnapshot { rooms { " + ROOM + " } totalUnread totalMentions totalUnreadThreads } "
    "... on UnreadChanged { unread { " + ROOM + " } totalUnread totalMentions } "
    "... on RoomListChanged { roomId change now: room { name viewerMembership { favourite } } } "
    "... on ThreadUnreadChanged { thread { id root { id } replyCount viewerIsFollowing viewerUnreadCount } "
    "totalUnreadThreads } } }"
)


@pytest.fixture(autouse=True)
def no_log_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaps are found here because the bus reports them, not by comparing with the log (see test_lost_frames)."""
    monkeypatch.setattr(watchers, "CHECK_SECONDS", 60.0)


@asynccontextmanager
async def open_inbox(person: UserClient) -> AsyncIterator[tuple[ClientSubscription, Json]]:
    """The user's inbox subscription, and its first snapshot."""
    async with person.connect() as connection:
        subscription = await connection.subscribe(INBOX)
        snapshot = await subscription.next_event()
        assert snapshot["__typename"] == "InboxSnapshot"
        yield subscription, snapshot


async def wait_for_event(subscription: ClientSubscription, kind: str, **values: object) -> Json:
    """The next event of that kind with these values. Earlier ones are skipped: coalescing may split a change."""
    while True:
        event = await subscription.next_event()
        shown = {**event, **(event.get("unread") or {}), **(event.get("thread") or {})}
        if event["__typename"] == kind and values.items() <= shown.items():
            return event


async def test_an_inbox_sends_a_snapshot_and_then_changed_counts(ann: UserClient, bob: UserClient) -> None:
    room_id, other_room_id = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    await ann.send_messages(room_id, "before")
    async with open_inbox(bob) as (subscription, snapshot):
        assert {room["roomId"]: room["unreadCount"] for room in snapshot["rooms"]} == {room_id: 1, other_room_id: 0}
        *_, last = await ann.send_messages(other_room_id, "one", "@bob")
        event = await wait_for_event(subscription, "UnreadChanged", roomId=other_room_id, unreadCount=2)
        assert (event["unread"]["mentionCount"], event["totalUnread"], event["totalMentions"]) == (1, 3, 1)
        await bob.mutate(MARK_READ, roomId=other_room_id, upToMessageId=last["id"])
        event = await wait_for_event(subscription, "UnreadChanged", roomId=other_room_id, unreadCount=0)
        assert (event["totalUnread"], event["totalMentions"]) == (1, 0)


async def test_an_inbox_reports_added_changed_and_removed_rooms(ann: UserClient, bob: UserClient) -> None:
    async with open_inbox(bob) as (subscription, snapshot):
        assert (snapshot["rooms"], snapshot["totalUnread"]) == ([], 0)
        room_id = await ann.create_room("den", memberIds=[bob.id])
        assert (await wait_for_event(subscription, "RoomListChanged", change="ADDED"))["now"]["name"] == "den"
        await ann.send_messages(room_id, "hello")
        await wait_for_event(subscription, "UnreadChanged", roomId=room_id, unreadCount=1)
        await bob.mutate(SET_PREFERENCES, roomId=room_id, favourite=True)
        event = await wait_for_event(subscription, "RoomListChanged", change="UPDATED")
        assert event["now"]["viewerMembership"] == {"favourite": True}
        await bob.leave(room_id)
        event = await wait_for_event(subscription, "RoomListChanged", change="REMOVED")
        assert (event["roomId"], event["now"]) == (room_id, None)


async def test_a_burst_of_messages_is_coalesced(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with open_inbox(bob) as (subscription, _):
        await ann.send_messages(room_id, *(f"number {n}" for n in range(40)))
        payloads = 1
        while (await subscription.next_event()).get("unread", {}).get("unreadCount") != 40:
            payloads += 1
        assert payloads < 40


async def test_a_new_snapshot_follows_a_gap_of_the_bus(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    app = ann.app.roomcast
    async with open_inbox(bob) as (subscription, _):
        await ann.send_messages(room_id, "delivered")
        await wait_for_event(subscription, "UnreadChanged", unreadCount=1)
        on_frame, app.backend.watchers.on_frame = app.backend.watchers.on_frame, lambda frame: None  # type: ignore[method-assign]
        await ann.send_messages(room_id, "lost")
        app.backend.watchers.on_frame = on_frame  # type: ignore[method-assign]
        app.backend.watchers.on_resync([f"room:{room_id.removeprefix('room_')}"])
        snapshot = await wait_for_event(subscription, "InboxSnapshot")
        assert [room["unreadCount"] for room in snapshot["rooms"]] == [2]


async def test_a_room_name_changed_during_a_gap_is_reported_after_it(ann: UserClient, bob: UserClient) -> None:
    room_id, _ = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    app = ann.app.roomcast
    async with open_inbox(bob) as (subscription, _):
        on_frame, app.backend.watchers.on_frame = app.backend.watchers.on_frame, lambda frame: None  # type: ignore[method-assign]
        await change(ann, "updateRoom", roomId=room_id, name="lair")
        app.backend.watchers.on_frame = on_frame  # type: ignore[method-assign]
        app.backend.watchers.on_resync([f"room:{room_id.removeprefix('room_')}"])
        event = await subscription.next_event()
    assert (event["__typename"], event["roomId"], event["change"]) == ("RoomListChanged", room_id, "UPDATED")
    assert event["now"]["name"] == "lair"


async def test_a_snapshot_after_a_gap_does_not_hide_other_changes(ann: UserClient, bob: UserClient) -> None:
    room_id, other_room_id = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    app = ann.app.roomcast
    async with open_inbox(bob) as (subscription, _):
        on_frame, app.backend.watchers.on_frame = app.backend.watchers.on_frame, lambda frame: None  # type: ignore[method-assign]
        await ann.send_messages(other_room_id, "lost")
        app.backend.watchers.on_frame = on_frame  # type: ignore[method-assign]
        app.backend.watchers.on_resync([f"room:{other_room_id.removeprefix('room_')}"])
        await change(ann, "updateRoom", roomId=room_id, name="lair")
        events = list[Json]()
        while not {"InboxSnapshot", room_id} <= {event.get("roomId", event["__typename"]) for event in events}:
            events.append(await subscription.next_event())
    renamed = next(event for event in events if event.get("roomId") == room_id)
    assert (renamed["roomId"], renamed["change"], renamed["now"]["name"]) == (room_id, "UPDATED", "lair")


@pytest.mark.parametrize("kind", ["a room", "a direct conversation"])
async def test_a_room_joined_during_a_gap_is_followed_after_it(ann: UserClient, bob: UserClient, kind: str) -> None:
    app = ann.app.roomcast
    async with open_inbox(bob) as (subscription, _):
        on_frame, app.backend.watchers.on_frame = app.backend.watchers.on_frame, lambda frame: None  # type: ignore[method-assign]
        if kind == "a room":
            room_id = await ann.create_room("den", memberIds=[bob.id])
        else:
            room_id = (await ann.mutate(mutation("openDirectMessage"), userIds=[bob.id]))["room"]["id"]
        app.backend.watchers.on_frame = on_frame  # type: ignore[method-assign]
        app.backend.watchers.on_resync([f"user:{bob.id.removeprefix('user_')}"])
        async with asyncio.timeout(5):
            while f"room:{room_id.removeprefix('room_')}" not in app.backend.watchers.topics:  # noqa: ASYNC110 (no event to await)
                await asyncio.sleep(0.01)
        await ann.send_messages(room_id, "delivered")
        await wait_for_event(subscription, "UnreadChanged", unreadCount=1)


async def test_an_anonymous_client_has_no_inbox(ann: UserClient) -> None:
    ann.token = None
    async with ann.connect() as connection:
        subscription = await connection.subscribe(INBOX)
        message = await subscription.next_message()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
