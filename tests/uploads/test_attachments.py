"""Files with messages: one's own, whole, once; seen by who sees the message, live and later."""

import asyncio
import uuid
from hashlib import sha256

import pytest

from tests.api_clients import UserClient
from tests.messages.documents import DELETE, EDIT
from tests.replay_invariant import event_kinds, replay_invariant
from tests.rooms.documents import mutation
from tests.statements import statements
from tests.uploads.documents import HISTORY, MESSAGE, SEND, code, codes, fetch, picture, post, put, ticket, upload

LIVE = (
    "subscription Live($roomId: ID!) { roomEvents(roomId: $roomId) { __typename "
    "... on MessageCreated { message { id attachments { id url } } } } }"
)
SEARCH = (
    "query Search($query: String!, $filter: MessageSearchFilter) "
    "{ searchMessages(query: $query, filter: $filter) { nodes { body } } }"
)


async def test_a_file_goes_with_a_message_and_comes_back_as_it_was(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    content = b"minutes\n" * 10_000
    given = await ticket(ann, len(content), "minutes.txt")
    answer = await put(ann, given, content)
    assert answer.json()["sha256"] == sha256(content).hexdigest()
    async with replay_invariant(bob, room_id) as told:
        sent = await ann.mutate(SEND, roomId=room_id, body="here", attachmentIds=[given["uploadId"]])
    assert event_kinds(told) == ["MessageCreated"]
    [file] = (await bob.execute(MESSAGE, id=sent["message"]["id"]))["message"]["attachments"]
    assert (file["id"], file["filename"], file["contentType"]) == (given["uploadId"], "minutes.txt", "text/plain")
    assert (file["byteSize"], file["sha256"]) == (len(content), sha256(content).hexdigest())
    assert (file["width"], file["thumbnailUrl"]) == (None, None)
    assert (await fetch(file["url"])).content == content
    assert (await bob.execute("query ($id: ID!) { node(id: $id) { id } }", id=file["id"]))["node"] == {"id": file["id"]}


async def test_several_files_keep_their_order_and_words_may_be_missing(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    ids = [await upload(ann, bytes([65 + number]) * 5, f"{number}.txt") for number in range(3)]
    wanted = [ids[2], ids[0], ids[1]]
    sent = await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=wanted)
    assert [file["id"] for file in sent["message"]["attachments"]] == wanted
    assert codes(await ann.mutate(EDIT, messageId=sent["message"]["id"], body="words")) == []
    assert codes(await ann.mutate(EDIT, messageId=sent["message"]["id"], body="")) == []
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[])) == ["VALIDATION_FAILED"]


async def test_a_repeated_send_is_one_message_and_the_same_key_with_other_files_is_none(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    one, two = [await upload(ann, b"bytes") for _ in range(2)]
    wish = {"roomId": room_id, "body": "see", "clientMessageId": str(uuid.uuid4())}
    answers = await asyncio.gather(*(ann.mutate(SEND, **wish, attachmentIds=[one]) for _ in range(3)))
    assert sorted(answer["replayed"] for answer in answers) == [False, True, True]
    assert all([file["id"] for file in answer["message"]["attachments"]] == [one] for answer in answers)
    for others in ([two], [one, two], []):
        assert codes(await ann.mutate(SEND, **wish, attachmentIds=others)) == ["IDEMPOTENCY_KEY_REUSED"]
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[two])) == []


async def test_only_ones_own_finished_unused_files_can_be_sent(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    mine, theirs = await upload(ann, b"mine"), await upload(bob, b"theirs")
    unfinished = (await ticket(ann, 5))["uploadId"]
    await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[mine])
    for ids, why, retryable in (
        ([theirs], "NOT_FOUND", False),
        (["file_nonsense"], "NOT_FOUND", False),
        (["file_nonsense", "file_other"], "NOT_FOUND", False),
        ([f"file_{uuid.uuid4()}"], "NOT_FOUND", False),
        ([unfinished], "ATTACHMENT_NOT_READY", True),
        ([mine], "CONFLICT", False),
        ([unfinished, unfinished], "VALIDATION_FAILED", False),
        ([f"file_{uuid.uuid4()}" for _ in range(11)], "VALIDATION_FAILED", False),
    ):
        payload = await ann.mutate(SEND, roomId=room_id, body="see", attachmentIds=ids)
        assert payload["errors"] == [{"code": why, "path": ["input", "attachmentIds"], "retryable": retryable}]
    assert len((await ann.execute(HISTORY, id=room_id))["messages"]["nodes"]) == 1


async def test_a_bad_attachment_hinders_none_of_the_sends_beside_it_and_one_of_two_gets_the_file(
    ann: UserClient,
) -> None:
    room_ids = [await ann.create_room(f"den {number}") for number in range(2)]
    file = await upload(ann, b"one")
    wishes = [ann.mutate(SEND, roomId=room_ids[0], body="bad", attachmentIds=["file_x"])]
    wishes += [ann.mutate(SEND, roomId=room_id, body="race", attachmentIds=[file]) for room_id in room_ids]
    wishes += [ann.mutate(SEND, roomId=room_id, body="plain") for room_id in room_ids]
    bad, *race, first, second = [codes(answer) for answer in await asyncio.gather(*wishes)]
    assert (bad, first, second) == (["NOT_FOUND"], [], [])
    assert sorted(race) == [[], ["CONFLICT"]]


async def test_a_deleted_message_has_no_files_and_its_old_addresses_show_nothing(
    ann: UserClient, bob: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    file = await post(ann, room_id, picture(50, 50), "cat.png", "image/png")
    assert (await fetch(file["url"])).status_code == (await fetch(file["thumbnailUrl"])).status_code == 200
    async with replay_invariant(bob, room_id) as told:
        await ann.mutate(DELETE, messageId=file["message"])
    assert event_kinds(told) == ["MessageDeleted"]
    assert (await bob.execute(MESSAGE, id=file["message"]))["message"]["attachments"] == []
    for url in (file["url"], file["thumbnailUrl"]):
        assert (await fetch(url)).status_code == 404
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[file["id"]])) == ["CONFLICT"]


async def test_who_leaves_a_private_room_is_shown_no_address_any_more(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    file = await post(ann, room_id, b"secret")
    node = "query ($id: ID!) { node(id: $id) { ... on Attachment { url } } }"
    assert (await bob.execute(node, id=file["id"]))["node"]["url"].startswith(ann.app.url)
    await bob.leave(room_id)
    assert (await bob.execute(node, id=file["id"]))["node"] is None
    assert (await bob.execute(MESSAGE, id=file["message"]))["message"] is None
    waiting = await upload(ann, b"not sent yet")
    assert (await ann.execute(node, id=waiting))["node"] is None


@pytest.mark.parametrize("loss", ["leaveRoom", "removeMember", "updateRoom", "banUser"])
async def test_who_may_read_no_more_loads_nothing_from_the_addresses_they_hold(
    ann: UserClient, bob: UserClient, cleo: UserClient, loss: str
) -> None:
    openly = {"visibility": "PUBLIC"} if loss == "updateRoom" else {"visibility": "PRIVATE", "memberIds": [cleo.id]}
    room_id = await bob.create_room("den", **openly)
    file = await post(bob, room_id, picture(50, 50), "cat.png", "image/png")
    [theirs] = (await cleo.execute(MESSAGE, id=file["message"]))["message"]["attachments"]
    urls = [theirs["url"], theirs["thumbnailUrl"]]
    assert [(await fetch(url)).status_code for url in urls] == [200, 200]
    who, arguments = {
        "leaveRoom": (cleo, {"roomId": room_id}),
        "removeMember": (bob, {"roomId": room_id, "userId": cleo.id}),
        "updateRoom": (bob, {"roomId": room_id, "visibility": "PRIVATE"}),
        "banUser": (ann, {"userId": cleo.id}),
    }[loss]
    assert codes(await who.mutate(mutation(loss, "{ errors { code } }"), **arguments)) == []
    assert [code(await fetch(url)) for url in urls] == [(404, "NOT_FOUND")] * 2
    assert code(await fetch(theirs["url"].replace(cleo.id[5:], bob.id[5:]))) == (403, "FORBIDDEN")
    assert (await fetch(file["url"])).status_code == 200


async def test_listeners_of_one_group_are_shown_whole_addresses_of_their_own(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    file = await upload(ann, b"live")
    async with bob.connect() as one, cleo.connect() as two:
        streams = [await connection.subscribe(LIVE, roomId=room_id) for connection in (one, two)]
        for stream in streams:
            await stream.wait_until_ready()
        await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[file])
        seen = [(await stream.next_event())["message"]["attachments"] for stream in streams]
        [topic] = ann.app.roomcast.hub.topics
        assert len(topic.groups) == 1
    assert seen[0] != seen[1]
    assert [(await fetch(attachment["url"])).content for [attachment] in seen] == [b"live", b"live"]


async def test_a_page_of_files_takes_one_question_more_and_a_page_without_none(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "plain")
    with statements() as bare:
        await ann.execute(HISTORY, id=room_id)
    for number in range(5):
        await post(ann, room_id, b"x" * (number + 1))
    with statements() as full:
        await ann.execute(HISTORY, id=room_id)
    asked = [sum("FROM files" in statement for statement in seen) for seen in (bare, full)]
    assert asked == [0, 1]


async def test_a_search_finds_messages_with_files_or_without(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "report one")
    await ann.mutate(SEND, roomId=room_id, body="report two", attachmentIds=[await upload(ann, b"two")])
    for wanted, bodies in ((True, ["report two"]), (False, ["report one"]), (None, ["report two", "report one"])):
        found = await ann.execute(SEARCH, query="report", filter={"hasAttachment": wanted})
        assert [node["body"] for node in found["searchMessages"]["nodes"]] == bodies


async def test_a_room_that_is_gone_takes_its_files_along(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    file = await post(ann, room_id, b"gone soon")
    delete = "mutation ($input: RoomIdInput!) { deleteRoom(input: $input) { errors { code } } }"
    assert codes(await ann.mutate(delete, roomId=room_id)) == []
    assert (await fetch(file["url"])).status_code == 404
