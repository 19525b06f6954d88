"""Who may say what. Pure: rows in, verdict out."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from roomcast.core.actor import Actor
from roomcast.core.errors import (
    Conflict,
    Forbidden,
    IdempotencyKeyReused,
    MessageTooLong,
    NotFound,
    Refused,
    SlowMode,
    ValidationFailed,
)
from roomcast.core.text_folding import has_visible_text, is_text
from roomcast.messages.emoji import fully_qualified
from roomcast.messages.models import Message, MessageKind
from roomcast.rooms import policy as rooms
from roomcast.rooms.models import Membership, Room
from roomcast.rooms.policy import Right

MAX_BODY = 4000
"""Characters."""

MAX_EMOJI = 50
"""Different ones under one message."""


def check_body(body: str, *, needs_text: bool = True) -> None:
    """`bare`: without attachments, which can speak for themselves."""
    if needs_text and not has_visible_text(body):
        raise ValidationFailed("a message says something", path=("input", "body"))
    if len(body) > MAX_BODY:
        raise MessageTooLong(f"a message has at most {MAX_BODY} characters", path=("input", "body"))
    if not is_text(body):
        raise ValidationFailed("a message holds no control characters", path=("input", "body"))


def check_send(actor: Actor, room: Room, membership: Membership | None, at: datetime) -> Membership:
    """Raises NotAMember, RoomArchived, ReadOnly, Muted, SlowMode."""
    member = rooms.check_send(actor, room, membership, at)
    if not rooms.has_right(actor, room, member, Right.MANAGE_MEMBERS):  # who moderates is not slowed
        _check_pace(room, member, at)
    return member


def _check_pace(room: Room, member: Membership, at: datetime) -> None:
    if room.slow_mode_seconds == 0 or member.last_sent_at is None:
        return
    wait = member.last_sent_at + timedelta(seconds=room.slow_mode_seconds) - at
    if wait > timedelta(0):
        raise SlowMode(
            f"one message in {room.slow_mode_seconds} seconds here", retry_after_ms=round(wait.total_seconds() * 1000)
        )


def check_reply_to(room: Room, target: Message | None) -> None:
    """One answers what was said in the same room; what is elsewhere does not exist here."""
    if target is None or target.room_id != room.id:
        raise NotFound("no such message in this room", path=("input", "replyToId"))


def check_thread_root(room: Room, root: Message | None) -> None:
    """Threads are not nested."""
    path = ("input", "threadRootId")
    if root is None or root.room_id != room.id:
        raise NotFound("no such message in this room", path=path)
    if root.thread_root_id is not None:
        raise ValidationFailed("a reply is in a thread already: name the thread's first message", path=path)


def check_same_request(original: Message, digest: str, author_id: object) -> None:
    """Whether a used key is the same message sent again. Shows nothing of the other message if not."""
    if original.author_id != author_id or original.content_digest != digest:
        raise IdempotencyKeyReused("this clientMessageId belongs to another message", path=("input", "clientMessageId"))


# ------------------------------------------------------------------ what was sent


def check_not_deleted(message: Message) -> None:
    if message.deleted_at is not None:
        raise Conflict("this message was deleted")


def check_not_system(message: Message) -> None:
    if message.kind == MessageKind.SYSTEM:
        raise Forbidden("this is what the room itself said")


def check_edit(actor: Actor, message: Message, room: Room, membership: Membership | None, at: datetime) -> None:
    """An author's own words, without a limit of time, while able to send."""
    if message.author_id != actor.user_id:
        raise Forbidden("only its author edits a message")
    check_not_deleted(message)
    rooms.check_send(actor, room, membership, at)


def check_revision(message: Message, expected: int | None) -> None:
    if expected is not None and expected != message.revision:
        raise Conflict(f"the message is at revision {message.revision} already", path=("input", "expectedRevision"))


def check_delete(actor: Actor, message: Message, room: Room, membership: Membership | None) -> None:
    """Authors take back what they said, muted or not; moderators what others said."""
    if rooms.has_right(actor, room, membership, Right.DELETE_OTHERS_MESSAGES):
        return
    rooms.check_member(membership)
    if message.author_id != actor.user_id:
        raise Forbidden("only its author and moderators delete a message")
    rooms.check_not_archived(room)


def check_emoji(text: str) -> str:
    """The emoji in its full spelling."""
    emoji = fully_qualified(text)
    if emoji is None:
        raise ValidationFailed("a reaction is one emoji", path=("input", "emoji"))
    return emoji


def check_react(actor: Actor, message: Message, room: Room, membership: Membership | None, at: datetime) -> None:
    """Who may say something may say it with an emoji, at any pace."""
    check_not_system(message)
    check_not_deleted(message)
    rooms.check_send(actor, room, membership, at)


def check_emoji_limit(emoji: str, present: Collection[str]) -> None:
    if emoji not in present and len(present) >= MAX_EMOJI:
        raise ValidationFailed(f"at most {MAX_EMOJI} different emoji fit under a message", path=("input", "emoji"))


def check_remove_reaction(room: Room, membership: Membership | None) -> None:
    rooms.check_member(membership)
    rooms.check_not_archived(room)


def check_pin(actor: Actor, message: Message, room: Room, membership: Membership | None) -> None:
    rooms.check_right(actor, room, membership, Right.PIN)
    check_not_system(message)
    check_not_deleted(message)


def may_edit(actor: Actor, message: Message, room: Room, membership: Membership | None, at: datetime) -> bool:
    return _passes(lambda: check_edit(actor, message, room, membership, at))


def may_delete(actor: Actor, message: Message, room: Room, membership: Membership | None) -> bool:
    return message.deleted_at is None and _passes(lambda: check_delete(actor, message, room, membership))


def _passes(check: Callable[[], None]) -> bool:
    try:
        check()
    except Refused:
        return False
    return True
