"""The rooms in what the inbox sends: `RoomUnread.room`."""

from roomcast.api.context import Caller, Context
from roomcast.api.schema.inbox.types import load_shown_rooms
from roomcast.core.ids import local_id
from roomcast.live.inbox import CountsUpdate, FullUpdate, ListUpdate, RoomListChange
from roomcast.receipts.queries import read_states_of_user, sum_unread
from tests.api_clients import UserClient
from tests.receipts.test_inbox import wait_for_event
from tests.receipts.test_unread import MARK_READ
from tests.rooms.documents import change
from tests.statements import statements

ROOM = "room { id name lastActivityAt viewerMembership { id unreadCount room { id } } }"
INBOX = (
    "subscription Inbox { inboxEvents { __typename ... on InboxSnapshot { rooms { roomId unreadCount " + ROOM + " } } "
    "... on UnreadChanged { unread { roomId unreadCount " + ROOM + " } totalUnread } "
    "... on RoomListChanged { roomId change room { id } } } }"
)


async def test_counts_come_with_their_room(ann: UserClient, bob: UserClient) -> None:
    room_ids = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    await ann.send_messages(room_ids[0], "before")
    async with bob.connect() as connection:
        subscription = await connection.subscribe(INBOX)
        snapshot = await subscription.next_event()
        assert {each["room"]["id"]: each["room"]["name"] for each in snapshot["rooms"]} == dict(
            zip(room_ids, ("den", "hall"), strict=True)
        )
        for each in snapshot["rooms"]:
            membership = each["room"]["viewerMembership"]
            assert each["roomId"] == each["room"]["id"] == membership["room"]["id"]
            assert each["unreadCount"] == membership["unreadCount"]
        [message] = await ann.send_messages(room_ids[1], "one")
        event = await wait_for_event(subscription, "UnreadChanged", roomId=room_ids[1], unreadCount=1)
        assert event["unread"]["room"]["lastActivityAt"] == message["createdAt"]
        assert event["unread"]["room"]["viewerMembership"]["unreadCount"] == 1
        await bob.mutate(MARK_READ, roomId=room_ids[1], upToMessageId=message["id"])
        event = await wait_for_event(subscription, "UnreadChanged", roomId=room_ids[1], unreadCount=0)
        assert event["totalUnread"] == 1


async def test_the_rooms_of_a_snapshot_cost_as_many_statements_for_many_as_for_few(
    ann: UserClient, bob: UserClient
) -> None:
    counts = []
    for number in (2, 6):
        for each in range(number):
            await ann.create_room(f"room {number} {each}", memberIds=[bob.id])
        async with bob.connect() as connection:
            with statements() as seen:
                snapshot = await (await connection.subscribe(INBOX)).next_event()
            counts.append(len(seen))
    assert len(snapshot["rooms"]) == 8
    assert counts[0] == counts[1]


async def test_a_room_that_was_lost_after_it_was_counted_is_not_shown(ann: UserClient, bob: UserClient) -> None:
    """The counts and the rooms are read in two snapshots of the database."""
    room_ids = [await ann.create_room(name, visibility="PRIVATE", memberIds=[bob.id]) for name in ("den", "hall")]
    backend = ann.app.roomcast.backend
    actor = await backend.sessions.authenticate(bob.token or "")
    async with backend.db.read() as session:
        counted = await read_states_of_user(session, actor.user_id)
    await change(ann, "removeMember", roomId=room_ids[0], userId=bob.id)
    lost, kept = (next(each for each in counted if each.room_id == local_id("room", id_)) for id_ in room_ids)
    context = Context(backend, actor, Caller("test"))
    totals = sum_unread(counted)
    try:
        shown = await load_shown_rooms(FullUpdate(counted, totals, 0), context)
        assert shown == FullUpdate([kept], totals, 0)
        removed = await load_shown_rooms(CountsUpdate(lost, totals), context)
        assert removed == ListUpdate(lost.room_id, RoomListChange.REMOVED)
        for update in (CountsUpdate(kept, totals), ListUpdate(kept.room_id, RoomListChange.UPDATED)):
            assert await load_shown_rooms(update, context) == update
    finally:
        await context.close()
