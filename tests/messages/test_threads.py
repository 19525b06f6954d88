"""Threads: their messages are in the room's log and not in its main history."""

import uuid

from tests.api_clients import ROOM_MESSAGES, UserClient
from tests.messages.documents import DELETE, codes
from tests.replay_invariant import replay_invariant

HISTORY = (
    "query History($roomId: ID!, $root: ID, $first: Int, $around: ID) { "
    "messages(roomId: $roomId, threadRootId: $root, first: $first, around: $around) "
    "{ nodes { body threadRootId thread { replyCount lastReply { body } } } "
    "pageInfo { hasNextPage hasPreviousPage } } room(id: $roomId) { lastMessage { body } } }"
)


async def bodies(client: UserClient, room_id: str, **more: object) -> list[str]:
    page = (await client.execute(HISTORY, roomId=room_id, **more))["messages"]
    return [node["body"] for node in page["nodes"]]


async def test_thread_replies_are_streamed_and_not_in_the_main_history(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    root, other = await ann.send_messages(room_id, "topic", "other")
    async with bob.connect() as socket:
        subscription = await socket.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(1)
        async with replay_invariant(bob, room_id):
            await ann.send(room_id, "one", threadRootId=root["id"])
            await bob.send(room_id, "two", threadRootId=root["id"])
        assert [event["message"]["body"] for event in await subscription.next_events(2)] == ["one", "two"]
    seen = await bob.execute(HISTORY, roomId=room_id)
    assert [node["body"] for node in seen["messages"]["nodes"]] == ["topic", "other"]
    assert seen["messages"]["nodes"][0]["thread"] == {"replyCount": 2, "lastReply": {"body": "two"}}
    assert seen["room"]["lastMessage"] == {"body": "other"}
    assert await bodies(bob, room_id, root=root["id"]) == ["one", "two"]
    assert await bodies(bob, room_id, root=other["id"]) == []


async def test_threads_are_not_nested(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    [root] = await ann.send_messages(room_id, "topic")
    reply = (await ann.send(room_id, "one", threadRootId=root["id"]))["message"]
    answer = await ann.send(room_id, "two", threadRootId=reply["id"])
    assert codes(answer) == ["VALIDATION_FAILED"]
    assert answer["errors"][0]["path"] == ["input", "threadRootId"]


async def test_a_thread_belongs_to_its_room_and_is_part_of_the_idempotency_check(ann: UserClient) -> None:
    room_id, other_room_id = await ann.create_room("den"), await ann.create_room("hall")
    [root] = await ann.send_messages(room_id, "topic")
    assert codes(await ann.send(other_room_id, "lost", threadRootId=root["id"])) == ["NOT_FOUND"]
    assert codes(await ann.send(room_id, "lost", threadRootId="msg_nonsense")) == ["NOT_FOUND"]
    key = str(uuid.uuid4())
    await ann.send(room_id, "one", threadRootId=root["id"], clientMessageId=key)
    assert (await ann.send(room_id, "one", threadRootId=root["id"], clientMessageId=key))["replayed"] is True
    assert codes(await ann.send(room_id, "one", clientMessageId=key)) == ["IDEMPOTENCY_KEY_REUSED"]
    for arguments in ({"root": root["id"]}, {"root": ""}, {"around": root["id"]}, {"around": ""}):
        assert await ann.error_codes(HISTORY, roomId=other_room_id, **arguments) == ["NOT_FOUND"]


async def test_a_history_is_centred_on_one_of_its_messages(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    one, two, three = await ann.send_messages(room_id, "one", "two", "three")
    replies = [(await ann.send(room_id, f"reply {n}", threadRootId=two["id"]))["message"] for n in range(3)]
    assert await bodies(ann, room_id, around=two["id"], first=3) == ["one", "two", "three"]
    thread = {"root": two["id"], "around": replies[1]["id"], "first": 1}
    assert await bodies(ann, room_id, **thread) == ["reply 1"]
    assert await bodies(ann, room_id, **(thread | {"first": 3})) == ["reply 0", "reply 1", "reply 2"]


async def test_a_deleted_reply_keeps_its_place_in_the_thread(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    async with replay_invariant(bob, room_id):
        [root] = await ann.send_messages(room_id, "topic")
        reply = (await ann.send(room_id, "one", threadRootId=root["id"]))["message"]
        await ann.mutate(DELETE, messageId=reply["id"])
        await ann.mutate(DELETE, messageId=root["id"])
        await ann.send(room_id, "two", threadRootId=root["id"])
    assert await bodies(bob, room_id, root=root["id"]) == [None, "two"]
