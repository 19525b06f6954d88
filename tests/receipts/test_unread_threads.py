"""Threads that a user follows, their unread replies, and the mentions in them."""

import pytest

from tests.api_clients import Json, UserClient
from tests.messages.documents import DELETE, EDIT, codes
from tests.receipts.documents import FOLLOW, MARK_THREAD_READ, THREADS, followed, reply, thread_of
from tests.receipts.test_unread import MARK_READ, unread
from tests.rooms.documents import DELETE as DELETE_ROOM
from tests.rooms.documents import change, mutation
from tests.statements import statements

NODE = (
    "query Node($id: ID!) { node(id: $id) { __typename id ... on Thread { replyCount lastReply { id } root { id } } } }"
)


async def following(person: UserClient, root: Json) -> tuple[bool, int]:
    thread = await thread_of(person, root)
    return thread["viewerIsFollowing"], thread["viewerUnreadCount"]


# ------------------------------------------------------------------ following


async def test_who_replies_is_mentioned_or_wrote_the_first_message_follows(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [root] = await ann.send_messages(room_id, "topic")
    await reply(bob, room_id, root, "one")
    assert [await following(person, root) for person in (ann, bob, cleo)] == [(True, 1), (True, 0), (False, 0)]
    await reply(ann, room_id, root, "two")  # replying reads
    await reply(bob, room_id, root, "three, @cleo")
    await reply(bob, room_id, root, "four")
    assert [await following(person, root) for person in (ann, bob, cleo)] == [(True, 2), (True, 0), (True, 2)]


async def test_who_is_mentioned_in_the_first_message_follows(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root, to_all] = await ann.send_messages(room_id, "@bob, look", "@room, look")
    for message in (root, to_all):
        await reply(ann, room_id, message)
    assert [await following(bob, message) for message in (root, to_all)] == [(True, 1), (False, 0)]


async def test_a_decision_about_following_outlasts_replies_and_mentions(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await ann.send_messages(room_id, "topic")
    await reply(bob, room_id, root)
    await reply(ann, room_id, root)
    answer = await bob.mutate(FOLLOW, threadRootId=root["id"], following=False)
    assert (answer["thread"]["viewerIsFollowing"], answer["thread"]["viewerUnreadCount"]) == (False, 0)
    await reply(bob, room_id, root)
    await reply(ann, room_id, root, "@bob")
    assert await following(bob, root) == (False, 0)
    assert (await unread(bob, room_id))["mentionCount"] == 1
    await bob.mutate(FOLLOW, threadRootId=root["id"], following=True)
    assert await following(bob, root) == (True, 0)
    assert (await unread(bob, room_id))["mentionCount"] == 1, "following does not read"
    await reply(ann, room_id, root)
    await bob.mutate(FOLLOW, threadRootId=root["id"], following=True)
    assert await following(bob, root) == (True, 1)


async def test_a_message_without_replies_can_be_followed(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [root] = await ann.send_messages(room_id, "topic")
    thread = (await bob.mutate(FOLLOW, threadRootId=root["id"], following=True))["thread"]
    shown = (thread["replyCount"], thread["lastReply"], thread["participants"], thread["viewerIsFollowing"])
    assert shown == (0, None, [], True)
    unfollowed = (await ann.mutate(FOLLOW, threadRootId=root["id"], following=False))["thread"]
    assert unfollowed["viewerIsFollowing"] is False
    assert await followed(bob) == []
    await reply(cleo, room_id, root)
    assert await followed(bob) == [(root["id"], 1)]
    assert await following(ann, root) == (False, 0)


async def test_a_mention_that_an_edit_adds_lets_the_user_follow(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [root] = await ann.send_messages(room_id, "topic")
    first, *_ = [await reply(ann, room_id, root, body) for body in ("one", "two")]
    assert await following(bob, root) == (False, 0)
    await ann.mutate(EDIT, messageId=first["id"], body="one, @bob")
    assert await following(bob, root) == (True, 2)
    assert (await unread(bob, room_id))["mentionCount"] == 1
    await ann.mutate(EDIT, messageId=first["id"], body="one")
    assert (await unread(bob, room_id))["mentionCount"] == 0
    assert await following(cleo, root) == (False, 0)


# ------------------------------------------------------------------ reading


async def test_unread_replies_are_those_of_others_that_are_not_deleted(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await bob.send_messages(room_id, "topic")
    replies = [await reply(ann, room_id, root, f"reply {n}") for n in range(4)]
    await ann.mutate(DELETE, messageId=replies[0]["id"])
    await ann.mutate(DELETE, messageId=root["id"])
    assert await following(bob, root) == (True, 3)
    marked = await bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=replies[2]["id"])
    assert (marked["errors"], marked["thread"]["viewerUnreadCount"], marked["thread"]["replyCount"]) == ([], 1, 4)
    for earlier in (replies[0], root):
        marked = await bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=earlier["id"])
        assert (marked["errors"], marked["thread"]["viewerUnreadCount"]) == ([], 1)


async def test_counts_are_exact_to_a_hundred(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await bob.send_messages(room_id, "topic")
    for _ in range(99):
        await reply(ann, room_id, root, "@bob")
    assert (await following(bob, root), (await unread(bob, room_id))["mentionCount"]) == ((True, 99), 99)
    for _ in range(2):
        await reply(ann, room_id, root, "@bob")
    assert (await following(bob, root), (await unread(bob, room_id))["mentionCount"]) == ((True, 100), 100)


async def test_a_mention_in_a_thread_is_read_when_the_thread_is(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [root, other] = await ann.send_messages(room_id, "topic", "other")
    for_bob, for_all = [await reply(ann, room_id, root, body) for body in ("@bob", "@room")]
    await reply(ann, room_id, other, "@bob and @room")  # one message, one mention
    [last] = await ann.send_messages(room_id, "@bob")

    async def counts() -> list[int]:
        return [(await unread(person, room_id))["mentionCount"] for person in (ann, bob, cleo)]

    assert await counts() == [0, 4, 2]
    for person in (bob, cleo):
        await person.mutate(MARK_READ, roomId=room_id, upToMessageId=last["id"])
    assert await counts() == [0, 3, 2]
    await bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=for_bob["id"])
    assert await counts() == [0, 2, 2]
    for person in (bob, cleo):  # cleo does not follow the thread
        await person.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=for_all["id"])
    assert await counts() == [0, 1, 1]
    await reply(bob, room_id, other)
    assert await counts() == [0, 0, 1]
    assert await following(cleo, root) == (False, 0), "reading is not following"


async def test_leaving_ends_following_until_the_user_comes_back(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await ann.send_messages(room_id, "topic")
    await reply(bob, room_id, root)
    await reply(ann, room_id, root, "@bob")
    await bob.leave(room_id)
    assert (await followed(bob), await following(bob, root)) == ([], (False, 0))
    await reply(ann, room_id, root, "@bob, @room")
    await bob.join(room_id)
    await cleo.join(room_id)
    assert await followed(bob) == [(root["id"], 0)]
    assert [(await unread(person, room_id))["mentionCount"] for person in (bob, cleo)] == [0, 0]
    await reply(ann, room_id, root, "@room")
    assert await followed(bob) == [(root["id"], 1)]
    assert [(await unread(person, room_id))["mentionCount"] for person in (bob, cleo)] == [1, 1]


# ------------------------------------------------------------------ lists, nodes, rights


async def test_followed_threads_are_listed_with_the_newest_reply_first(ann: UserClient, bob: UserClient) -> None:
    room_id, other_room_id = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    [one, two] = await bob.send_messages(room_id, "one", "two")
    [three, alone] = await bob.send_messages(other_room_id, "three", "no replies")
    for place, root in ((room_id, two), (other_room_id, three), (room_id, one)):
        await reply(ann, place, root)
    assert await followed(bob) == [(one["id"], 1), (three["id"], 1), (two["id"], 1)]
    last = await reply(ann, room_id, two)
    assert await followed(bob) == [(two["id"], 2), (one["id"], 1), (three["id"], 1)]
    await bob.mutate(MARK_THREAD_READ, threadRootId=two["id"], upToMessageId=last["id"])
    assert await followed(bob, unreadOnly=True) == [(one["id"], 1), (three["id"], 1)]
    assert [root_id for root_id, _ in await followed(ann)] == [two["id"], one["id"], three["id"]]
    page = (await bob.execute(THREADS, first=2))["threads"]
    assert page["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": page["edges"][0]["cursor"],
        "endCursor": page["edges"][1]["cursor"],
    }
    page = (await bob.execute(THREADS, first=2, after=page["pageInfo"]["endCursor"]))["threads"]
    assert [node["root"]["id"] for node in page["nodes"]] == [three["id"]]
    assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert alone["id"] not in {root_id for root_id, _ in await followed(bob)}


@pytest.mark.parametrize("arguments", [{"first": 0}, {"first": 101}, {"after": "nonsense"}])
async def test_a_refused_page_of_threads_leaves_the_rest_of_the_answer(ann: UserClient, arguments: Json) -> None:
    document = (
        "query T($first: Int, $after: String) { me { id } threads(first: $first, after: $after) { nodes { id } } }"
    )
    answer = (await ann.post({"query": document, "variables": arguments})).json()
    assert answer["data"]["threads"] is None
    assert answer["data"]["me"]["id"].startswith("viewer_")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def test_participants_are_the_last_five_who_replied(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [root] = await ann.send_messages(room_id, "topic")
    for person in (bob, cleo, bob, ann, bob):
        last = await reply(person, room_id, root)
    await bob.mutate(DELETE, messageId=last["id"])
    thread = await thread_of(ann, root)
    assert [user["username"] for user in thread["participants"]] == ["bob", "ann", "cleo"]
    assert (thread["replyCount"], thread["lastReply"]) == (5, {"id": last["id"], "body": None})


async def test_a_thread_is_a_node(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    [root, alone] = await ann.send_messages(room_id, "topic", "alone")
    last = await reply(ann, room_id, root)
    thread_id = (await thread_of(ann, root))["id"]
    assert thread_id == root["id"].replace("msg_", "thread_")
    node = (await ann.execute(NODE, id=thread_id))["node"]
    assert node == {
        "__typename": "Thread",
        "id": thread_id,
        "replyCount": 1,
        "lastReply": {"id": last["id"]},
        "root": {"id": root["id"]},
    }
    no_thread = last["id"].replace("msg_", "thread_"), "thread_nonsense"
    assert [(await ann.execute(NODE, id=id_))["node"] for id_ in no_thread] == [None, None]
    assert (await ann.execute(NODE, id=alone["id"].replace("msg_", "thread_")))["node"]["replyCount"] == 0
    assert (await bob.execute(NODE, id=thread_id))["node"] is None


@pytest.mark.parametrize(
    ("document", "arguments"), [(MARK_THREAD_READ, {"upToMessageId": "{reply}"}), (FOLLOW, {"following": True})]
)
async def test_only_members_read_and_follow_threads(
    document: str, arguments: Json, ann: UserClient, bob: UserClient
) -> None:
    room_id, private_id = await ann.create_room("den"), await ann.create_room("lair", visibility="PRIVATE")
    for place, code in ((private_id, "NOT_FOUND"), (room_id, "NOT_A_MEMBER")):
        [root] = await ann.send_messages(place, "topic")
        last = await reply(ann, place, root)
        chosen = {name: last["id"] if value == "{reply}" else value for name, value in arguments.items()}
        refused = await bob.mutate(document, threadRootId=root["id"], **chosen)
        assert (codes(refused), refused["thread"]) == ([code], None)
        assert codes(await ann.mutate(document, threadRootId=last["id"], **chosen)) == ["VALIDATION_FAILED"]
        refused = await ann.mutate(document, threadRootId="msg_nonsense", **chosen)
        assert refused["errors"] == [{"code": "NOT_FOUND", "path": ["input", "threadRootId"]}]
        await bob.join(place)
    await change(ann, "setMemberRole", roomId=room_id, userId=bob.id, role="READ_ONLY")
    assert codes(await bob.mutate(document, threadRootId=root["id"], **chosen)) == []


async def test_a_thread_is_read_up_to_one_of_its_own_messages(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root, other] = await ann.send_messages(room_id, "topic", "other")
    await reply(ann, room_id, root)
    elsewhere = await reply(ann, room_id, other)
    for id_ in (other["id"], elsewhere["id"], "msg_nonsense"):
        refused = await bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=id_)
        assert refused["errors"] == [{"code": "NOT_FOUND", "path": ["input", "upToMessageId"]}]


async def test_threads_of_archived_rooms_stay_and_those_of_deleted_rooms_go(ann: UserClient, bob: UserClient) -> None:
    room_id, other_room_id = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    roots = [(await bob.send_messages(place, "topic"))[0] for place in (room_id, other_room_id)]
    last = [await reply(ann, place, root) for place, root in zip((room_id, other_room_id), roots, strict=True)][0]
    await change(ann, "archiveRoom", roomId=room_id)
    assert (await ann.mutate(DELETE_ROOM, roomId=other_room_id))["errors"] == []
    assert await followed(bob) == [(roots[0]["id"], 1)]
    marked = await bob.mutate(MARK_THREAD_READ, threadRootId=roots[0]["id"], upToMessageId=last["id"])
    assert (marked["errors"], await followed(bob, unreadOnly=True)) == ([], [])


async def test_threads_of_direct_conversations_are_followed(ann: UserClient, bob: UserClient) -> None:
    room_id = (await ann.mutate(mutation("openDirectMessage"), userIds=[bob.id]))["room"]["id"]
    [root] = await ann.send_messages(room_id, "topic")
    await reply(bob, room_id, root)
    assert (await followed(ann), await followed(bob)) == ([(root["id"], 1)], [(root["id"], 0)])


async def test_signed_out_users_have_no_threads(ann: UserClient) -> None:
    ann.token = None
    assert await ann.error_codes(THREADS) == ["UNAUTHENTICATED"]


# ------------------------------------------------------------------ costs


async def test_a_message_outside_threads_writes_no_thread_state(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await ann.send_messages(room_id, "topic")
    with statements() as outside:
        await ann.send_messages(room_id, "hello, @bob")
    with statements() as inside:
        await reply(ann, room_id, root, "hello, @bob")
    assert [statement for statement in outside if "thread_states" in statement] == []
    assert len([statement for statement in inside if "thread_states" in statement]) == 1
    assert len(inside) <= len(outside) + 1


async def test_many_threads_cost_as_many_statements_as_few(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    counted = list[int]()
    for number in (2, 8):
        for root in await ann.send_messages(room_id, *(f"topic {n}" for n in range(number))):
            await reply(bob, room_id, root)
        with statements() as seen:
            assert len(await followed(ann)) == number + (2 if number == 8 else 0)
        counted.append(len([statement for statement in seen if "messages" in statement]))
    assert counted[0] == counted[1]
