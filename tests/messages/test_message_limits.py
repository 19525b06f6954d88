"""The limits of the message policy, each tested at its edge: n is allowed, n + 1 is refused. No database."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from roomcast.core.errors import SlowMode
from roomcast.messages import policy
from roomcast.messages.models import Message, MessageKind
from roomcast.rooms.models import Room, RoomRole
from tests.permissions import ARCHIVED, ME, NOON, OTHER, PUBLIC, ROOM_ID, actor, member, refusal


def message(**changes: Any) -> Message:
    facts: dict[str, Any] = {"room_id": ROOM_ID, "seq": 1, "author_id": ME, "body": "hm", "created_at": NOON}
    return Message(**{**facts, **changes})


@pytest.mark.parametrize(
    ("body", "needs_text", "code"),
    [
        ("x", True, None),
        ("x" * 4000, True, None),
        ("x" * 4001, True, "MESSAGE_TOO_LONG"),
        ("x" * 4001, False, "MESSAGE_TOO_LONG"),
        ("", True, "VALIDATION_FAILED"),
        (" \n", True, "VALIDATION_FAILED"),
        ("", False, None),
        ("a\0b", True, "VALIDATION_FAILED"),
        ("a\0b", False, "VALIDATION_FAILED"),
    ],
)
def test_a_body_has_up_to_4000_characters_and_text_unless_it_has_attachments(
    body: str, needs_text: bool, code: str | None
) -> None:
    expected = (code, ["input", "body"]) if code else None
    assert refusal(lambda: policy.check_body(body, needs_text=needs_text)) == expected


def test_a_body_needs_text_by_default() -> None:
    assert refusal(lambda: policy.check_body("")) == ("VALIDATION_FAILED", ["input", "body"])


@pytest.mark.parametrize(
    ("slow", "ago_ms", "role", "wait_ms"),
    [
        (0, 0, RoomRole.MEMBER, None),
        (0, -1_000, RoomRole.MEMBER, None),  # Sent through a server whose clock is ahead of this one.
        (1, 999, RoomRole.MEMBER, 1),
        (1, 1_000, RoomRole.MEMBER, None),
        (10, 0, RoomRole.MEMBER, 10_000),
        (10, None, RoomRole.MEMBER, None),
        (10, 0, RoomRole.MODERATOR, None),
        (10, 0, RoomRole.OWNER, None),
    ],
)
def test_slow_mode_makes_members_wait_to_the_millisecond(
    slow: int, ago_ms: int | None, role: RoomRole, wait_ms: int | None
) -> None:
    room = PUBLIC.model_copy(update={"slow_mode_seconds": slow})
    me = member(role)
    assert me is not None
    me.last_sent_at = None if ago_ms is None else NOON - timedelta(milliseconds=ago_ms)
    if wait_ms is None:
        assert policy.check_send(actor(), room, me, NOON) is me
        return
    with pytest.raises(SlowMode) as slowed:
        policy.check_send(actor(), room, me, NOON)
    assert slowed.value.retry_after_ms == wait_ms


OTHER_ROOM_ID = UUID(int=77)


@pytest.mark.parametrize("target", [None, message(room_id=OTHER_ROOM_ID)])
def test_a_reply_refers_to_a_message_of_the_same_room(target: Message | None) -> None:
    assert refusal(lambda: policy.check_reply_to(PUBLIC, target)) == ("NOT_FOUND", ["input", "replyToId"])
    assert refusal(lambda: policy.check_thread_root(PUBLIC, target)) == ("NOT_FOUND", ["input", "threadRootId"])


def test_a_thread_root_is_not_itself_a_reply() -> None:
    assert refusal(lambda: policy.check_reply_to(PUBLIC, message(thread_root_id=OTHER))) is None
    assert refusal(lambda: policy.check_thread_root(PUBLIC, message())) is None
    nested = refusal(lambda: policy.check_thread_root(PUBLIC, message(thread_root_id=OTHER)))
    assert nested == ("VALIDATION_FAILED", ["input", "threadRootId"])


@pytest.mark.parametrize(
    ("digest", "author", "same"), [("d", ME, True), ("other", ME, False), ("d", OTHER, False), ("other", OTHER, False)]
)
def test_a_key_is_reused_only_for_the_same_content_by_the_same_author(digest: str, author: UUID, same: bool) -> None:
    found = refusal(lambda: policy.check_same_request(message(content_digest="d"), digest, author))
    assert found == (None if same else ("IDEMPOTENCY_KEY_REUSED", ["input", "clientMessageId"]))


@pytest.mark.parametrize(("expected", "code"), [(None, None), (1, None), (0, "CONFLICT"), (2, "CONFLICT")])
def test_an_edit_may_expect_a_revision(expected: int | None, code: str | None) -> None:
    found = refusal(lambda: policy.check_revision(message(revision=1), expected))
    assert found == ((code, ["input", "expectedRevision"]) if code else None)


@pytest.mark.parametrize(
    ("emoji", "present", "fits"),
    [("new", 49, True), ("new", 50, False), ("0", 50, True), ("0", 49, True)],
)
def test_a_message_has_up_to_50_different_emoji(emoji: str, present: int, fits: bool) -> None:
    found = refusal(lambda: policy.check_emoji_limit(emoji, [str(n) for n in range(present)]))
    assert found == (None if fits else ("VALIDATION_FAILED", ["input", "emoji"]))


@pytest.mark.parametrize(("text", "stored"), [("❤", "❤️"), ("👍", "👍"), ("ok", None), ("👍👍", None), ("", None)])
def test_a_reaction_is_one_emoji_in_its_full_spelling(text: str, stored: str | None) -> None:
    if stored is None:
        assert refusal(lambda: policy.check_emoji(text)) == ("VALIDATION_FAILED", ["input", "emoji"])
    else:
        assert policy.check_emoji(text) == stored


def test_a_system_message_is_deleted_by_moderators_and_changed_by_nobody() -> None:
    note = message(kind=MessageKind.SYSTEM, author_id=None)
    for role in RoomRole:
        me = member(role)
        assert refusal(partial(policy.check_edit, actor(), note, PUBLIC, me, NOON)) == ("FORBIDDEN", None)
        assert refusal(partial(policy.check_react, actor(), note, PUBLIC, me, NOON)) == ("FORBIDDEN", None)
        assert refusal(partial(policy.check_pin, actor(), note, PUBLIC, me)) == ("FORBIDDEN", None)
        moderates = role in (RoomRole.MODERATOR, RoomRole.OWNER)
        assert policy.may_delete(actor(), note, PUBLIC, me) is moderates


def test_a_moderator_deletes_messages_in_an_archived_room_and_an_author_does_not() -> None:
    own, other = message(), message(author_id=OTHER)
    for either in (own, other):
        assert refusal(partial(policy.check_delete, actor(), either, ARCHIVED, member(RoomRole.MODERATOR))) is None
    assert refusal(lambda: policy.check_delete(actor(), own, ARCHIVED, member(RoomRole.MEMBER))) == (
        "ROOM_ARCHIVED",
        None,
    )
    assert refusal(lambda: policy.check_delete(actor(), own, PUBLIC, None)) == ("NOT_A_MEMBER", None)


@pytest.mark.parametrize(
    ("room", "role", "code"),
    [
        (PUBLIC, RoomRole.READ_ONLY, None),
        (PUBLIC, None, "NOT_A_MEMBER"),
        (ARCHIVED, RoomRole.MEMBER, "ROOM_ARCHIVED"),
        (ARCHIVED, None, "NOT_A_MEMBER"),
    ],
)
def test_any_member_removes_their_reaction_in_an_open_room(room: Room, role: RoomRole | None, code: str | None) -> None:
    found = refusal(lambda: policy.check_remove_reaction(room, member(role)))
    assert found == ((code, None) if code else None)


def test_a_deleted_message_is_not_edited_even_by_its_author() -> None:
    gone = message(deleted_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert refusal(lambda: policy.check_edit(actor(), gone, PUBLIC, member(RoomRole.MEMBER), NOON)) == (
        "CONFLICT",
        None,
    )
    assert not policy.may_delete(actor(), gone, PUBLIC, member(RoomRole.OWNER))
