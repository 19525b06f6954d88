"""How replies write what users follow and have read: in groups, at once with reading, and in room streams."""

import asyncio
import uuid

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.ids import local_id
from roomcast.messages.actions import NewMessage, Sent, send_messages
from tests.api_clients import UserClient
from tests.messages.documents import DELETE, EDIT
from tests.receipts.documents import FOLLOW, MARK_THREAD_READ, followed, reply
from tests.receipts.test_unread import unread
from tests.replay_invariant import replay_invariant

STREAM = (
    "subscription S($roomId: ID!) { roomEvents(roomId: $roomId) { __typename ... on MessageCreated { message { "
    "threadRoot { thread { id replyCount participants { username } viewerIsFollowing viewerUnreadCount } } } } } }"
)


def actor(person: UserClient) -> Actor:
    user_id = local_id("user", person.id)
    assert user_id is not None
    return Actor(user_id, uuid.uuid4(), False, now())


async def test_messages_and_replies_of_one_group_are_followed(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    room, key = local_id("room", room_id), uuid.uuid4()
    root_id = f"msg_{key}"
    requests = [
        NewMessage(actor(ann), room, "@cleo, a question", key),
        NewMessage(actor(bob), room, "one", thread_root=root_id),
        NewMessage(actor(bob), room, "outside"),
        NewMessage(actor(ann), room, "two, @bob", thread_root=root_id),
        NewMessage(actor(bob), room, "three, @room", thread_root=root_id),
    ]
    async with ann.app.roomcast.db.work() as work:
        assert all(isinstance(result, Sent) for result in await send_messages(work, requests))
    assert [await followed(person) for person in (ann, bob, cleo)] == [[(root_id, 1)], [(root_id, 0)], [(root_id, 3)]]
    assert [(await unread(person, room_id))["mentionCount"] for person in (ann, bob, cleo)] == [1, 0, 2]


async def test_a_repeated_reply_changes_nothing(ann: UserClient, bob: UserClient) -> None:
    room_id, key = await ann.create_room("den", memberIds=[bob.id]), str(uuid.uuid4())
    [root] = await ann.send_messages(room_id, "topic")
    for _ in range(2):
        await bob.send(room_id, "@ann", threadRootId=root["id"], clientMessageId=key)
    await ann.mutate(FOLLOW, threadRootId=root["id"], following=False)
    await bob.send(room_id, "@ann", threadRootId=root["id"], clientMessageId=key)
    assert (await followed(ann), (await unread(ann, room_id))["mentionCount"]) == ([], 1)


async def test_replies_reads_and_decisions_at_once_do_not_deadlock(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    roots = await ann.send_messages(room_id, "one", "two")
    firsts = [await reply(bob, room_id, root) for root in roots]

    async def take_part(person: UserClient) -> None:
        for number in range(10):
            root, first = roots[number % 2], firsts[number % 2]
            payloads = await asyncio.gather(
                person.send(room_id, "@ann @bob @cleo", threadRootId=root["id"]),
                person.send(room_id, "outside"),
                person.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=first["id"]),
                person.mutate(FOLLOW, threadRootId=root["id"], following=number % 4 < 2),
            )
            assert [payload["errors"] for payload in payloads] == [[]] * 4

    await asyncio.gather(*(take_part(person) for person in (ann, bob, cleo)))
    last = [await reply(ann, room_id, root, "@bob") for root in roots]
    for root, message in zip(roots, last, strict=True):
        await bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=message["id"])
    assert (await unread(bob, room_id))["mentionCount"] == 0


async def test_a_stream_shows_each_viewer_their_own_state_of_the_thread(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [root] = await ann.send_messages(room_id, "topic")
    async with ann.connect() as of_ann, bob.connect() as of_bob, cleo.connect() as of_cleo:
        streams = [await socket.subscribe(STREAM, roomId=room_id) for socket in (of_ann, of_bob, of_cleo)]
        for stream in streams:
            await stream.wait_until_ready()
        await reply(bob, room_id, root)
        shown = [(await stream.next_event())["message"]["threadRoot"]["thread"] for stream in streams]
    assert [(thread["viewerIsFollowing"], thread["viewerUnreadCount"]) for thread in shown] == [
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    assert {thread["replyCount"] for thread in shown} == {1}
    assert shown[0]["participants"] == [{"username": "bob"}]


async def test_the_replay_invariant_holds_for_edited_and_deleted_replies(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await ann.send_messages(room_id, "topic")
    async with replay_invariant(bob, room_id) as events:
        one, two = [await reply(ann, room_id, root, body) for body in ("one", "two")]
        await ann.mutate(EDIT, messageId=one["id"], body="one, @bob")
        await ann.mutate(DELETE, messageId=two["id"])
        await bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=one["id"])
        await bob.mutate(FOLLOW, threadRootId=root["id"], following=False)
    kinds = [event["__typename"] for event in events]
    assert kinds == ["MessageCreated", "MessageCreated", "MessageUpdated", "MessageDeleted"]
