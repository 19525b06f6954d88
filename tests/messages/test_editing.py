"""Editing and deleting: the author's words, everybody's replay."""

import asyncio
import uuid

import pytest

from tests.api_clients import UserClient
from tests.messages.documents import DELETE, EDIT, PIN, REACT, REVISIONS, SEEN, TAKE_BACK, UNPIN, codes
from tests.replay_invariant import event_kinds, replay_invariant


async def test_an_edit_is_seen_replayed_and_kept_with_what_was_said_before(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    [message] = await ann.send_messages(den, "frist")
    async with replay_invariant(bob, den) as told:
        edited = await ann.mutate(EDIT, messageId=message["id"], body="first", expectedRevision=1)
    assert event_kinds(told) == ["MessageUpdated"]
    assert told[0]["reason"] == "EDITED"
    assert told[0]["cursor"] == edited["cursor"]
    assert (edited["message"]["body"], edited["message"]["revision"]) == ("first", 2)
    assert edited["message"]["seq"] == message["seq"]
    seen = (await bob.execute(REVISIONS, id=message["id"]))["message"]
    assert [(r["revision"], r["body"]) for r in seen["revisions"]["nodes"]] == [(1, "frist"), (2, "first")]
    assert [r["editedBy"]["username"] for r in seen["revisions"]["nodes"]] == ["ann", "ann"]


async def test_of_two_edits_of_one_revision_the_second_is_told_of_the_conflict(ann: UserClient) -> None:
    den = await ann.create_room("den")
    [message] = await ann.send_messages(den, "one")
    edits = [ann.mutate(EDIT, messageId=message["id"], body=body, expectedRevision=1) for body in ("two", "three")]
    answers = await asyncio.gather(*edits)
    assert sorted(codes(answer) for answer in answers) == [[], ["CONFLICT"]]


async def test_the_same_words_again_change_nothing(ann: UserClient) -> None:
    den = await ann.create_room("den")
    [message] = await ann.send_messages(den, "one")
    async with replay_invariant(ann, den) as told:
        answer = await ann.mutate(EDIT, messageId=message["id"], body="one")
    assert told == []
    assert (answer["cursor"], answer["message"]["revision"]) == (None, 1)


@pytest.mark.parametrize("operation", [EDIT, DELETE, REACT, TAKE_BACK, PIN, UNPIN])
async def test_a_stranger_cannot_tell_a_hidden_message_from_none(
    ann: UserClient, bob: UserClient, operation: str
) -> None:
    den = await ann.create_room("den", visibility="PRIVATE")
    [message] = await ann.send_messages(den, "ours")
    more = {EDIT: {"body": "mine"}, REACT: {"emoji": "👍"}, TAKE_BACK: {"emoji": "👍"}}.get(operation, {})
    told = operation.replace("code path", "code path message")
    hidden, malformed, unknown = [
        (await bob.mutate(told, messageId=id_, **more))["errors"]
        for id_ in (message["id"], "msg_nonsense", f"msg_{uuid.uuid4()}")
    ]
    assert hidden == malformed == unknown
    assert [(error["code"], error["path"]) for error in hidden] == [("NOT_FOUND", ["input", "messageId"])]


async def test_only_the_author_edits_and_not_after_leaving(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den")
    await cleo.join(den)
    [message] = await cleo.send_messages(den, "mine")
    assert codes(await bob.mutate(EDIT, messageId=message["id"], body="yours")) == ["FORBIDDEN"]
    assert codes(await cleo.mutate(EDIT, messageId=message["id"], body="x" * 4001)) == ["MESSAGE_TOO_LONG"]
    await cleo.leave(den)
    assert codes(await cleo.mutate(EDIT, messageId=message["id"], body="still mine")) == ["NOT_A_MEMBER"]


async def test_a_deleted_message_keeps_its_place_and_loses_its_words(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    [message] = await ann.send_messages(den, "secret")
    await ann.mutate(EDIT, messageId=message["id"], body="more secret")
    async with replay_invariant(bob, den) as told:
        gone = await ann.mutate(DELETE, messageId=message["id"])
    assert event_kinds(told) == ["MessageDeleted"]
    assert (told[0]["messageId"], told[0]["messageSeq"]) == (message["id"], message["seq"])
    assert told[0]["deletedBy"] == {"username": "ann"}
    assert gone["message"]["body"] is None
    assert gone["message"]["deletedAt"] == told[0]["at"]
    assert (await ann.execute(REVISIONS, id=message["id"]))["message"]["revisions"]["nodes"] == []
    again = await ann.mutate(DELETE, messageId=message["id"])
    assert (again["errors"], again["cursor"]) == ([], None)
    assert codes(await ann.mutate(EDIT, messageId=message["id"], body="back")) == ["CONFLICT"]


async def test_who_moderates_deletes_what_others_said_and_that_is_noted(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", visibility="PRIVATE", memberIds=[cleo.id])
    [theirs] = await cleo.send_messages(den, "rude")
    [mine] = await bob.send_messages(den, "stern")
    assert codes(await cleo.mutate(DELETE, messageId=mine["id"])) == ["FORBIDDEN"]
    assert codes(await bob.mutate(DELETE, messageId=theirs["id"], reason="x" * 501)) == ["VALIDATION_FAILED"]
    assert codes(await bob.mutate(DELETE, messageId=theirs["id"], reason="rude")) == []
    noted = await bob.app.audit()
    assert [(entry.action, entry.target_id, entry.reason) for entry in noted] == [
        ("MESSAGE_DELETED", theirs["id"], "rude")
    ]


async def test_an_administrator_moderates_public_rooms_and_is_a_stranger_in_private_ones(
    ann: UserClient, bob: UserClient
) -> None:
    hall = await bob.create_room("hall")
    den = await bob.create_room("den", visibility="PRIVATE")
    [public], [private] = await bob.send_messages(hall, "loud"), await bob.send_messages(den, "quiet")
    assert codes(await ann.mutate(DELETE, messageId=public["id"])) == []
    assert codes(await ann.mutate(DELETE, messageId=private["id"])) == ["NOT_FOUND"]


async def test_everybody_is_told_what_they_may_do_with_a_message(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den")
    await cleo.join(den)
    [message] = await cleo.send_messages(den, "mine")
    seen = [(await person.execute(SEEN, id=message["id"]))["message"] for person in (cleo, bob)]
    assert [(one["viewerCanEdit"], one["viewerCanDelete"]) for one in seen] == [(True, True), (False, True)]
    await cleo.mutate(DELETE, messageId=message["id"])
    gone = (await cleo.execute(SEEN, id=message["id"]))["message"]
    assert (gone["viewerCanEdit"], gone["viewerCanDelete"]) == (False, False)


async def test_an_answer_names_what_it_answers(ann: UserClient, bob: UserClient) -> None:
    den, hall = await ann.create_room("den"), await ann.create_room("hall")
    [question] = await ann.send_messages(den, "what?")
    key = str(uuid.uuid4())
    async with replay_invariant(ann, den):
        answer = await ann.send(den, "that", replyToId=question["id"], clientMessageId=key)
    seen = (await ann.execute(SEEN, id=answer["message"]["id"]))["message"]
    assert seen["replyTo"] == {"id": question["id"], "body": "what?"}
    assert (await ann.send(den, "that", replyToId=question["id"], clientMessageId=key))["replayed"] is True
    assert codes(await ann.send(den, "that", clientMessageId=key)) == ["IDEMPOTENCY_KEY_REUSED"]
    assert codes(await ann.send(hall, "elsewhere", replyToId=question["id"])) == ["NOT_FOUND"]
    assert codes(await ann.send(hall, "nowhere", replyToId="msg_nonsense")) == ["NOT_FOUND"]


async def test_a_repeated_send_is_answered_with_the_message_as_it_is_now(ann: UserClient) -> None:
    den = await ann.create_room("den")
    key = str(uuid.uuid4())
    await ann.send(den, "one", clientMessageId=key)
    await ann.mutate(EDIT, messageId=f"msg_{key}", body="two")
    again = await ann.send(den, "one", clientMessageId=key)
    assert (again["replayed"], again["message"]["body"]) == (True, "two")
