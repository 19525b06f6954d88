"""Editing, deleting and replying."""

import asyncio
import uuid

import pytest

from tests.api_clients import UserClient
from tests.messages.documents import DELETE, EDIT, MESSAGE_BY_ID, PIN, REACT, REMOVE_REACTION, REVISIONS, UNPIN, codes
from tests.replay_invariant import event_kinds, replay_invariant


async def test_an_edit_is_announced_replayed_and_kept_as_a_revision(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    [message] = await ann.send_messages(room_id, "frist")
    async with replay_invariant(bob, room_id) as events:
        edited = await ann.mutate(EDIT, messageId=message["id"], body="first", expectedRevision=1)
    assert event_kinds(events) == ["MessageUpdated"]
    assert events[0]["updateReason"] == "EDITED"
    assert events[0]["cursor"] == edited["cursor"]
    assert (edited["message"]["body"], edited["message"]["revision"]) == ("first", 2)
    assert edited["message"]["seq"] == message["seq"]
    seen = (await bob.execute(REVISIONS, id=message["id"]))["message"]
    assert [(r["revision"], r["body"]) for r in seen["revisions"]["nodes"]] == [(1, "frist"), (2, "first")]
    assert [r["editedBy"]["username"] for r in seen["revisions"]["nodes"]] == ["ann", "ann"]


async def test_the_second_of_two_edits_of_one_revision_is_a_conflict(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, "one")
    edits = [ann.mutate(EDIT, messageId=message["id"], body=body, expectedRevision=1) for body in ("two", "three")]
    answers = await asyncio.gather(*edits)
    assert sorted(codes(answer) for answer in answers) == [[], ["CONFLICT"]]


async def test_an_edit_with_the_same_body_changes_nothing(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, "one")
    async with replay_invariant(ann, room_id) as events:
        answer = await ann.mutate(EDIT, messageId=message["id"], body="one")
    assert events == []
    assert (answer["cursor"], answer["message"]["revision"]) == (None, 1)


@pytest.mark.parametrize("operation", [EDIT, DELETE, REACT, REMOVE_REACTION, PIN, UNPIN])
async def test_a_hidden_message_is_refused_like_an_unknown_one(
    ann: UserClient, bob: UserClient, operation: str
) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    [message] = await ann.send_messages(room_id, "ours")
    more = {EDIT: {"body": "mine"}, REACT: {"emoji": "👍"}, REMOVE_REACTION: {"emoji": "👍"}}.get(operation, {})
    document = operation.replace("code path", "code path message")
    hidden, malformed, unknown = [
        (await bob.mutate(document, messageId=id_, **more))["errors"]
        for id_ in (message["id"], "msg_nonsense", f"msg_{uuid.uuid4()}")
    ]
    assert hidden == malformed == unknown
    assert [(error["code"], error["path"]) for error in hidden] == [("NOT_FOUND", ["input", "messageId"])]


async def test_only_the_author_edits_a_message_and_not_after_leaving(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    await cleo.join(room_id)
    [message] = await cleo.send_messages(room_id, "mine")
    assert codes(await bob.mutate(EDIT, messageId=message["id"], body="yours")) == ["FORBIDDEN"]
    assert codes(await cleo.mutate(EDIT, messageId=message["id"], body="x" * 4001)) == ["MESSAGE_TOO_LONG"]
    await cleo.leave(room_id)
    assert codes(await cleo.mutate(EDIT, messageId=message["id"], body="still mine")) == ["NOT_A_MEMBER"]


async def test_a_deleted_message_keeps_its_seq_and_loses_its_body(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    [message] = await ann.send_messages(room_id, "secret")
    await ann.mutate(EDIT, messageId=message["id"], body="more secret")
    async with replay_invariant(bob, room_id) as events:
        deleted = await ann.mutate(DELETE, messageId=message["id"])
    assert event_kinds(events) == ["MessageDeleted"]
    assert (events[0]["messageId"], events[0]["messageSeq"]) == (message["id"], message["seq"])
    assert events[0]["deletedBy"] == {"username": "ann"}
    assert deleted["message"]["body"] is None
    assert deleted["message"]["deletedAt"] == events[0]["at"]
    assert (await ann.execute(REVISIONS, id=message["id"]))["message"]["revisions"]["nodes"] == []
    again = await ann.mutate(DELETE, messageId=message["id"])
    assert (again["errors"], again["cursor"]) == ([], None)
    assert codes(await ann.mutate(EDIT, messageId=message["id"], body="back")) == ["CONFLICT"]


async def test_a_moderators_deletion_of_another_users_message_is_in_the_audit_log(
    bob: UserClient, cleo: UserClient
) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE", memberIds=[cleo.id])
    [other_message] = await cleo.send_messages(room_id, "rude")
    [own_message] = await bob.send_messages(room_id, "stern")
    assert codes(await cleo.mutate(DELETE, messageId=own_message["id"])) == ["FORBIDDEN"]
    assert codes(await bob.mutate(DELETE, messageId=other_message["id"], reason="x" * 501)) == ["VALIDATION_FAILED"]
    assert codes(await bob.mutate(DELETE, messageId=other_message["id"], reason="rude")) == []
    entries = await bob.app.audit()
    assert [(entry.action, entry.target_id, entry.reason) for entry in entries] == [
        ("MESSAGE_DELETED", other_message["id"], "rude")
    ]


async def test_an_administrator_moderates_public_rooms_and_has_no_access_to_private_ones(
    ann: UserClient, bob: UserClient
) -> None:
    other_room_id = await bob.create_room("hall")
    room_id = await bob.create_room("den", visibility="PRIVATE")
    [public], [private] = await bob.send_messages(other_room_id, "loud"), await bob.send_messages(room_id, "quiet")
    assert codes(await ann.mutate(DELETE, messageId=public["id"])) == []
    assert codes(await ann.mutate(DELETE, messageId=private["id"])) == ["NOT_FOUND"]


async def test_viewer_fields_show_what_each_user_may_do_with_a_message(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    await cleo.join(room_id)
    [message] = await cleo.send_messages(room_id, "mine")
    seen = [(await client.execute(MESSAGE_BY_ID, id=message["id"]))["message"] for client in (cleo, bob)]
    assert [(one["viewerCanEdit"], one["viewerCanDelete"]) for one in seen] == [(True, True), (False, True)]
    await cleo.mutate(DELETE, messageId=message["id"])
    deleted = (await cleo.execute(MESSAGE_BY_ID, id=message["id"]))["message"]
    assert (deleted["viewerCanEdit"], deleted["viewerCanDelete"]) == (False, False)


async def test_a_reply_refers_to_its_target(ann: UserClient, bob: UserClient) -> None:
    room_id, other_room_id = await ann.create_room("den"), await ann.create_room("hall")
    [question] = await ann.send_messages(room_id, "what?")
    key = str(uuid.uuid4())
    async with replay_invariant(ann, room_id):
        answer = await ann.send(room_id, "that", replyToId=question["id"], clientMessageId=key)
    seen = (await ann.execute(MESSAGE_BY_ID, id=answer["message"]["id"]))["message"]
    assert seen["replyTo"] == {"id": question["id"], "body": "what?"}
    assert (await ann.send(room_id, "that", replyToId=question["id"], clientMessageId=key))["replayed"] is True
    assert codes(await ann.send(room_id, "that", clientMessageId=key)) == ["IDEMPOTENCY_KEY_REUSED"]
    assert codes(await ann.send(other_room_id, "elsewhere", replyToId=question["id"])) == ["NOT_FOUND"]
    assert codes(await ann.send(other_room_id, "nowhere", replyToId="msg_nonsense")) == ["NOT_FOUND"]


async def test_a_repeated_send_returns_the_message_as_it_is_now(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    key = str(uuid.uuid4())
    await ann.send(room_id, "one", clientMessageId=key)
    await ann.mutate(EDIT, messageId=f"msg_{key}", body="two")
    again = await ann.send(room_id, "one", clientMessageId=key)
    assert (again["replayed"], again["message"]["body"]) == (True, "two")
