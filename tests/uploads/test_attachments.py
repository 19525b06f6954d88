"""Attachments of messages: own files only, each used once, and readable by those who can read the message."""

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


async def test_an_attachment_is_downloaded_unchanged(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    content = b"minutes\n" * 10_000
    upload_ticket = await ticket(ann, len(content), "minutes.txt")
    answer = await put(ann, upload_ticket, content)
    assert answer.json()["sha256"] == sha256(content).hexdigest()
    async with replay_invariant(bob, room_id) as events:
        sent = await ann.mutate(SEND, roomId=room_id, body="here", attachmentIds=[upload_ticket["uploadId"]])
    assert event_kinds(events) == ["MessageCreated"]
    [file] = (await bob.execute(MESSAGE, id=sent["message"]["id"]))["message"]["attachments"]
    assert (file["id"], file["filename"], file["contentType"]) == (
        upload_ticket["uploadId"],
        "minutes.txt",
        "text/plain",
    )
    assert (file["byteSize"], file["sha256"]) == (len(content), sha256(content).hexdigest())
    assert (file["width"], file["thumbnailUrl"]) == (None, None)
    assert (await fetch(file["url"])).content == content
    assert (await bob.execute("query ($id: ID!) { node(id: $id) { id } }", id=file["id"]))["node"] == {"id": file["id"]}


async def test_attachments_keep_their_order_and_the_body_may_be_empty(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    ids = [await upload(ann, bytes([65 + number]) * 5, f"{number}.txt") for number in range(3)]
    expected = [ids[2], ids[0], ids[1]]
    sent = await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=expected)
    assert [file["id"] for file in sent["message"]["attachments"]] == expected
    assert codes(await ann.mutate(EDIT, messageId=sent["message"]["id"], body="words")) == []
    assert codes(await ann.mutate(EDIT, messageId=sent["message"]["id"], body="")) == []
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[])) == ["VALIDATION_FAILED"]


async def test_a_repeated_send_is_one_message_and_other_attachments_are_key_reuse(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    one, two = [await upload(ann, b"bytes") for _ in range(2)]
    message = {"roomId": room_id, "body": "see", "clientMessageId": str(uuid.uuid4())}
    answers = await asyncio.gather(*(ann.mutate(SEND, **message, attachmentIds=[one]) for _ in range(3)))
    assert sorted(answer["replayed"] for answer in answers) == [False, True, True]
    assert all([file["id"] for file in answer["message"]["attachments"]] == [one] for answer in answers)
    for others in ([two], [one, two], []):
        assert codes(await ann.mutate(SEND, **message, attachmentIds=others)) == ["IDEMPOTENCY_KEY_REUSED"]
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[two])) == []


async def test_only_own_finished_unused_files_can_be_attached(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    own, other = await upload(ann, b"mine"), await upload(bob, b"theirs")
    unfinished = (await ticket(ann, 5))["uploadId"]
    await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[own])
    for ids, error_code, retryable in (
        ([other], "NOT_FOUND", False),
        (["file_nonsense"], "NOT_FOUND", False),
        (["file_nonsense", "file_other"], "NOT_FOUND", False),
        ([f"file_{uuid.uuid4()}"], "NOT_FOUND", False),
        ([unfinished], "ATTACHMENT_NOT_READY", True),
        ([own], "CONFLICT", False),
        ([unfinished, unfinished], "VALIDATION_FAILED", False),
        ([f"file_{uuid.uuid4()}" for _ in range(11)], "VALIDATION_FAILED", False),
    ):
        payload = await ann.mutate(SEND, roomId=room_id, body="see", attachmentIds=ids)
        assert payload["errors"] == [{"code": error_code, "path": ["input", "attachmentIds"], "retryable": retryable}]
    assert len((await ann.execute(HISTORY, id=room_id))["messages"]["nodes"]) == 1


async def test_a_bad_attachment_fails_only_its_own_send_of_a_group(
    ann: UserClient,
) -> None:
    room_ids = [await ann.create_room(f"den {number}") for number in range(2)]
    file = await upload(ann, b"one")
    sends = [ann.mutate(SEND, roomId=room_ids[0], body="bad", attachmentIds=["file_x"])]
    sends += [ann.mutate(SEND, roomId=room_id, body="race", attachmentIds=[file]) for room_id in room_ids]
    sends += [ann.mutate(SEND, roomId=room_id, body="plain") for room_id in room_ids]
    bad, *race, first, second = [codes(answer) for answer in await asyncio.gather(*sends)]
    assert (bad, first, second) == (["NOT_FOUND"], [], [])
    assert sorted(race) == [[], ["CONFLICT"]]


async def test_the_attachment_links_of_a_deleted_message_are_not_found(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    file = await post(ann, room_id, picture(50, 50), "cat.png", "image/png")
    assert (await fetch(file["url"])).status_code == (await fetch(file["thumbnailUrl"])).status_code == 200
    async with replay_invariant(bob, room_id) as events:
        await ann.mutate(DELETE, messageId=file["message"])
    assert event_kinds(events) == ["MessageDeleted"]
    assert (await bob.execute(MESSAGE, id=file["message"]))["message"]["attachments"] == []
    for url in (file["url"], file["thumbnailUrl"]):
        assert (await fetch(url)).status_code == 404
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[file["id"]])) == ["CONFLICT"]


async def test_a_former_member_gets_no_attachment_links(ann: UserClient, bob: UserClient) -> None:
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
async def test_links_stop_working_when_their_reader_loses_access(
    ann: UserClient, bob: UserClient, cleo: UserClient, loss: str
) -> None:
    options = {"visibility": "PUBLIC"} if loss == "updateRoom" else {"visibility": "PRIVATE", "memberIds": [cleo.id]}
    room_id = await bob.create_room("den", **options)
    file = await post(bob, room_id, picture(50, 50), "cat.png", "image/png")
    [attachment] = (await cleo.execute(MESSAGE, id=file["message"]))["message"]["attachments"]
    urls = [attachment["url"], attachment["thumbnailUrl"]]
    assert [(await fetch(url)).status_code for url in urls] == [200, 200]
    actor, arguments = {
        "leaveRoom": (cleo, {"roomId": room_id}),
        "removeMember": (bob, {"roomId": room_id, "userId": cleo.id}),
        "updateRoom": (bob, {"roomId": room_id, "visibility": "PRIVATE"}),
        "banUser": (ann, {"userId": cleo.id}),
    }[loss]
    assert codes(await actor.mutate(mutation(loss, "{ errors { code } }"), **arguments)) == []
    assert [code(await fetch(url)) for url in urls] == [(404, "NOT_FOUND")] * 2
    assert code(await fetch(attachment["url"].replace(cleo.id[5:], bob.id[5:]))) == (403, "FORBIDDEN")
    assert (await fetch(file["url"])).status_code == 200


async def test_subscribers_of_one_group_get_links_of_their_own(
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


async def test_a_page_with_attachments_takes_one_more_statement(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "plain")
    with statements() as without_files:
        await ann.execute(HISTORY, id=room_id)
    for number in range(5):
        await post(ann, room_id, b"x" * (number + 1))
    with statements() as with_files:
        await ann.execute(HISTORY, id=room_id)
    counts = [sum("FROM files" in statement for statement in seen) for seen in (without_files, with_files)]
    assert counts == [0, 1]


async def test_search_filters_messages_by_attachments(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "report one")
    await ann.mutate(SEND, roomId=room_id, body="report two", attachmentIds=[await upload(ann, b"two")])
    for has_attachment, bodies in (
        (True, ["report two"]),
        (False, ["report one"]),
        (None, ["report two", "report one"]),
    ):
        found = await ann.execute(SEARCH, query="report", filter={"hasAttachment": has_attachment})
        assert [node["body"] for node in found["searchMessages"]["nodes"]] == bodies


async def test_the_files_of_a_deleted_room_are_not_found(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    file = await post(ann, room_id, b"gone soon")
    delete = "mutation ($input: DeleteRoomInput!) { deleteRoom(input: $input) { errors { code } } }"
    assert codes(await ann.mutate(delete, roomId=room_id)) == []
    assert (await fetch(file["url"])).status_code == 404
