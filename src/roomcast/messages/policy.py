"""Who may send, edit, delete, react and pin. Pure functions: they take rows and raise or return."""

from collections.abc import Collection
from datetime import datetime, timedelta

from roomcast.core.actor import Actor
from roomcast.core.errors import (
    Conflict,
    Forbidden,
    IdempotencyKeyReused,
    MessageTooLong,
    NotFound,
    SlowMode,
    ValidationFailed,
)
from roomcast.core.text_folding import has_visible_text, is_text
from roomcast.messages.emoji import fully_qualified
from roomcast.messages.models import Message, MessageKind, MessageRow
from roomcast.rooms import policy as rooms
from roomcast.rooms.models import Membership, RoomRow
from roomcast.rooms.policy import Member, Right

MAX_BODY = 4000
"""Characters."""

MAX_EMOJI = 50
"""Different emoji on one message."""


def check_body(body: str, *, needs_text: bool = True) -> None:
    """`needs_text`: whether the body must have visible text. A message with attachments need not. Raises
    ValidationFailed, MessageTooLong."""
    if needs_text and not has_visible_text(body):
        raise ValidationFailed("A message needs visible text or an attachment.", path=("input", "body"))
    if len(body) > MAX_BODY:
        raise MessageTooLong(
            f"A message has at most {MAX_BODY} characters. Shorten it or send it in parts.", path=("input", "body")
        )
    if not is_text(body):
        raise ValidationFailed(
            "A message cannot contain control characters. Remove them and send it again.", path=("input", "body")
        )


def check_send(actor: Actor, room: RoomRow, membership: Member | None, at: datetime) -> Member:
    """Raises NotAMember, RoomArchived, ReadOnly, Muted, SlowMode."""
    member = rooms.check_send(actor, room, membership, at)
    is_exempt = rooms.has_right(actor, room, member, Right.MANAGE_MEMBERS)  # Slow mode is not for moderators.
    if is_exempt or room.slow_mode_seconds == 0 or member.last_sent_at is None:
        return member
    wait = member.last_sent_at + timedelta(seconds=room.slow_mode_seconds) - at
    if wait > timedelta(0):
        raise SlowMode(
            f"Slow mode is on: wait {room.slow_mode_seconds} seconds between your messages.",
            retry_after_ms=round(wait.total_seconds() * 1000),
        )
    return member


def check_reply_to(room: RoomRow, target: MessageRow | None) -> None:
    """A reply refers to a message of the same room. Messages of other rooms are treated as unknown."""
    if target is None or target.room_id != room.id:
        raise NotFound("There is no such message in this room.", path=("input", "replyToId"))


def check_thread_root(room: RoomRow, root: MessageRow | None) -> None:
    """The thread root is a message of the same room and not itself a reply: threads are not nested."""
    path = ("input", "threadRootId")
    if root is None or root.room_id != room.id:
        raise NotFound("There is no such message in this room.", path=path)
    if root.thread_root_id is not None:
        raise ValidationFailed(
            "This message is itself a thread reply. Use the first message of its thread as threadRootId.", path=path
        )


def check_same_request(original: MessageRow, digest: str, author_id: object) -> None:
    """Whether a request with a used key repeats the original request. The error does not reveal the other message."""
    if original.author_id != author_id or original.content_digest != digest:
        raise IdempotencyKeyReused(
            "This clientMessageId was used for another message. Generate a new one for each message.",
            path=("input", "clientMessageId"),
        )


# ------------------------------------------------------------------ existing messages


def check_not_deleted(message: Message) -> None:
    if message.deleted_at is not None:
        raise Conflict("This message was deleted.")


def check_not_system(message: Message) -> None:
    if message.kind == MessageKind.SYSTEM:
        raise Forbidden("System messages cannot be edited, pinned or reacted to.")


def check_edit(actor: Actor, message: Message, room: RoomRow, membership: Membership | None, at: datetime) -> None:
    """Only the author edits, at any age of the message, and only while they may send."""
    if message.author_id != actor.user_id:
        raise Forbidden("Only the author can edit a message.")
    check_not_deleted(message)
    rooms.check_send(actor, room, membership, at)


def check_revision(message: Message, expected: int | None) -> None:
    if expected is not None and expected != message.revision:
        raise Conflict(
            f"The message is at revision {message.revision}. Load it again and repeat the edit.",
            path=("input", "expectedRevision"),
        )


def check_delete(actor: Actor, message: Message, room: RoomRow, membership: Membership | None) -> None:
    """Authors delete their own messages, even when muted. Moderators delete all messages."""
    if rooms.has_right(actor, room, membership, Right.DELETE_OTHERS_MESSAGES):
        return
    rooms.check_member(membership)
    if message.author_id != actor.user_id:
        raise Forbidden("Only the author and moderators can delete a message.")
    rooms.check_not_archived(room)


def check_emoji(text: str) -> str:
    """The emoji in its fully qualified spelling. Raises ValidationFailed."""
    emoji = fully_qualified(text)
    if emoji is None:
        raise ValidationFailed("A reaction must be exactly one emoji.", path=("input", "emoji"))
    return emoji


def check_react(actor: Actor, message: Message, room: RoomRow, membership: Membership | None, at: datetime) -> None:
    """Everybody who may send may react. Slow mode does not apply."""
    check_not_system(message)
    check_not_deleted(message)
    rooms.check_send(actor, room, membership, at)


def check_emoji_limit(emoji: str, present: Collection[str]) -> None:
    if emoji not in present and len(present) >= MAX_EMOJI:
        raise ValidationFailed(
            f"This message has {MAX_EMOJI} different emoji, which is the limit. Use one of them.",
            path=("input", "emoji"),
        )


def check_remove_reaction(room: RoomRow, membership: Membership | None) -> None:
    rooms.check_member(membership)
    rooms.check_not_archived(room)


def check_pin(actor: Actor, message: Message, room: RoomRow, membership: Membership | None) -> None:
    rooms.check_right(actor, room, membership, Right.PIN)
    check_not_system(message)
    check_not_deleted(message)


def may_edit(actor: Actor, message: Message, room: RoomRow, membership: Membership | None, at: datetime) -> bool:
    return rooms.is_allowed(lambda: check_edit(actor, message, room, membership, at))


def may_delete(actor: Actor, message: Message, room: RoomRow, membership: Membership | None) -> bool:
    return message.deleted_at is None and rooms.is_allowed(lambda: check_delete(actor, message, room, membership))
