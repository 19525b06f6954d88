"""Who may say what. Pure: rows in, verdict out."""

from collections.abc import Callable, Collection

from roomcast.core.actor import Actor
from roomcast.core.errors import (
    Conflict,
    Forbidden,
    IdempotencyKeyReused,
    MessageTooLong,
    NotFound,
    ReadOnly,
    Refused,
    ValidationFailed,
)
from roomcast.core.names import is_printable
from roomcast.messages.emoji import spelled
from roomcast.messages.models import Message
from roomcast.rooms import policy as rooms
from roomcast.rooms.models import Membership, Room, RoomRole, RoomVisibility

MAX_BODY = 4000
MAX_REASON = 500
"""Characters."""

MAX_EMOJI = 50
"""Different ones under one message."""


def check_body(body: str) -> None:
    if not body.strip():
        raise ValidationFailed("a message says something", path=("input", "body"))
    if len(body) > MAX_BODY:
        raise MessageTooLong(f"a message has at most {MAX_BODY} characters", path=("input", "body"))
    if not is_printable(body, lines=True):
        raise ValidationFailed("a message holds no control characters", path=("input", "body"))


def check_send(room: Room, membership: Membership | None) -> None:
    member = rooms.check_member(membership)
    rooms.check_open(room)
    if member.role == RoomRole.READ_ONLY:
        raise ReadOnly("you may read here, not write")


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


def check_same(original: Message, digest: str, author_id: object) -> None:
    """Whether a used key is the same message sent again. Shows nothing of the other message if not."""
    if original.author_id != author_id or original.content_digest != digest:
        raise IdempotencyKeyReused("this clientMessageId belongs to another message", path=("input", "clientMessageId"))


# ------------------------------------------------------------------ what was sent


def check_present(message: Message) -> None:
    if message.deleted_at is not None:
        raise Conflict("this message was deleted")


def check_edit(actor: Actor, message: Message, room: Room, membership: Membership | None) -> None:
    """An author's own words, without a limit of time, while able to send."""
    if message.author_id != actor.user_id:
        raise Forbidden("only its author edits a message")
    check_present(message)
    check_send(room, membership)


def check_revision(message: Message, expected: int | None) -> None:
    if expected is not None and expected != message.revision:
        raise Conflict(f"the message is at revision {message.revision} already", path=("input", "expectedRevision"))


def check_delete(actor: Actor, message: Message, room: Room, membership: Membership | None) -> None:
    """Authors take back what they said, muted or not; moderators what others said."""
    if moderates(actor, room, membership):
        return
    rooms.check_member(membership)
    if message.author_id != actor.user_id:
        raise Forbidden("only its author and moderators delete a message")
    rooms.check_open(room)


def check_emoji(text: str) -> str:
    """The emoji in its full spelling."""
    emoji = spelled(text)
    if emoji is None:
        raise ValidationFailed("a reaction is one emoji", path=("input", "emoji"))
    return emoji


def check_react(message: Message, room: Room, membership: Membership | None) -> None:
    """Who may say something may say it with an emoji."""
    check_present(message)
    check_send(room, membership)


def check_room_for(emoji: str, present: Collection[str]) -> None:
    if emoji not in present and len(present) >= MAX_EMOJI:
        raise ValidationFailed(f"at most {MAX_EMOJI} different emoji fit under a message", path=("input", "emoji"))


def check_take_back(room: Room, membership: Membership | None) -> None:
    rooms.check_member(membership)
    rooms.check_open(room)


def check_pin(actor: Actor, message: Message, room: Room, membership: Membership | None) -> None:
    """Moderators' and owners' business."""
    if not moderates(actor, room, membership):
        rooms.check_member(membership)
        raise Forbidden("only moderators and owners pin messages")
    rooms.check_open(room)
    check_present(message)


def check_reason(reason: str | None) -> None:
    if reason is not None and (len(reason) > MAX_REASON or not is_printable(reason, lines=True)):
        raise ValidationFailed(f"a reason has at most {MAX_REASON} printable characters", path=("input", "reason"))


def moderates(actor: Actor, room: Room, membership: Membership | None) -> bool:
    """Moderators and owners of the room; administrators of the server in public rooms."""
    if actor.is_admin and room.visibility == RoomVisibility.PUBLIC:
        return True
    return membership is not None and membership.role in (RoomRole.MODERATOR, RoomRole.OWNER)


def may_edit(actor: Actor, message: Message, room: Room, membership: Membership | None) -> bool:
    return _passes(check_edit, actor, message, room, membership)


def may_delete(actor: Actor, message: Message, room: Room, membership: Membership | None) -> bool:
    return message.deleted_at is None and _passes(check_delete, actor, message, room, membership)


def _passes(
    check: Callable[[Actor, Message, Room, Membership | None], None],
    actor: Actor,
    message: Message,
    room: Room,
    membership: Membership | None,
) -> bool:
    try:
        check(actor, message, room, membership)
    except Refused:
        return False
    return True
