"""Threads: talk beside the room's own, in its log and out of its history."""

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


async def bodies(person: UserClient, room_id: str, **more: object) -> list[str]:
    page = (await person.execute(HISTORY, roomId=room_id, **more))["messages"]
    return [node["body"] for node in page["nodes"]]


async def test_replies_are_in_the_log_and_streams_and_not_in_the_history(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    root, other = await ann.send_messages(den, "topic", "other")
    async with bob.connect() as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await ann.app.wait_for_streams(1)
        async with replay_invariant(bob, den):
            await ann.send(den, "one", threadRootId=root["id"])
            await bob.send(den, "two", threadRootId=root["id"])
        assert [shown["message"]["body"] for shown in await watching.next_events(2)] == ["one", "two"]
    seen = await bob.execute(HISTORY, roomId=den)
    assert [node["body"] for node in seen["messages"]["nodes"]] == ["topic", "other"]
    assert seen["messages"]["nodes"][0]["thread"] == {"replyCount": 2, "lastReply": {"body": "two"}}
    assert seen["room"]["lastMessage"] == {"body": "other"}
    assert await bodies(bob, den, root=root["id"]) == ["one", "two"]
    assert await bodies(bob, den, root=other["id"]) == []


async def test_threads_are_not_nested(ann: UserClient) -> None:
    den = await ann.create_room("den")
    [root] = await ann.send_messages(den, "topic")
    reply = (await ann.send(den, "one", threadRootId=root["id"]))["message"]
    answer = await ann.send(den, "two", threadRootId=reply["id"])
    assert codes(answer) == ["VALIDATION_FAILED"]
    assert answer["errors"][0]["path"] == ["input", "threadRootId"]


async def test_a_thread_belongs_to_its_room_and_to_its_key(ann: UserClient) -> None:
    den, hall = await ann.create_room("den"), await ann.create_room("hall")
    [root] = await ann.send_messages(den, "topic")
    assert codes(await ann.send(hall, "lost", threadRootId=root["id"])) == ["NOT_FOUND"]
    assert codes(await ann.send(den, "lost", threadRootId="msg_nonsense")) == ["NOT_FOUND"]
    key = str(uuid.uuid4())
    await ann.send(den, "one", threadRootId=root["id"], clientMessageId=key)
    assert (await ann.send(den, "one", threadRootId=root["id"], clientMessageId=key))["replayed"] is True
    assert codes(await ann.send(den, "one", clientMessageId=key)) == ["IDEMPOTENCY_KEY_REUSED"]
    for question in ({"root": root["id"]}, {"root": ""}, {"around": root["id"]}, {"around": ""}):
        assert await ann.error_codes(HISTORY, roomId=hall, **question) == ["NOT_FOUND"]


async def test_a_history_is_centred_on_a_message_of_its_own(ann: UserClient) -> None:
    den = await ann.create_room("den")
    one, two, three = await ann.send_messages(den, "one", "two", "three")
    replies = [(await ann.send(den, f"reply {n}", threadRootId=two["id"]))["message"] for n in range(3)]
    assert await bodies(ann, den, around=two["id"], first=3) == ["one", "two", "three"]
    thread = {"root": two["id"], "around": replies[1]["id"], "first": 1}
    assert await bodies(ann, den, **thread) == ["reply 1"]
    assert await bodies(ann, den, **(thread | {"first": 3})) == ["reply 0", "reply 1", "reply 2"]


async def test_a_deleted_reply_keeps_its_place_in_the_thread(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    async with replay_invariant(bob, den):
        [root] = await ann.send_messages(den, "topic")
        reply = (await ann.send(den, "one", threadRootId=root["id"]))["message"]
        await ann.mutate(DELETE, messageId=reply["id"])
        await ann.mutate(DELETE, messageId=root["id"])
        await ann.send(den, "two", threadRootId=root["id"])
    assert await bodies(bob, den, root=root["id"]) == [None, "two"]
