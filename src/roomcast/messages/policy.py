"""Who may say what. Pure: rows in, verdict out."""

from datetime import datetime, timedelta

from roomcast.core.actor import Actor
from roomcast.core.errors import IdempotencyKeyReused, MessageTooLong, SlowMode, ValidationFailed
from roomcast.core.names import is_printable
from roomcast.messages.models import Message
from roomcast.rooms import policy as rooms
from roomcast.rooms.models import Membership, Room
from roomcast.rooms.policy import Right

MAX_BODY = 4000
"""Characters."""


def check_body(body: str) -> None:
    if not body.strip():
        raise ValidationFailed("a message says something", path=("input", "body"))
    if len(body) > MAX_BODY:
        raise MessageTooLong(f"a message has at most {MAX_BODY} characters", path=("input", "body"))
    if not is_printable(body, lines=True):
        raise ValidationFailed("a message holds no control characters", path=("input", "body"))


def check_send(actor: Actor, room: Room, membership: Membership | None, at: datetime) -> Membership:
    """Raises NotAMember, RoomArchived, ReadOnly, Muted, SlowMode."""
    member = rooms.check_send(actor, room, membership, at)
    if not rooms.may(actor, room, member, Right.MANAGE_MEMBERS):  # who moderates is not slowed
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


def check_same(original: Message, digest: str, author_id: object) -> None:
    """Whether a used key is the same message sent again. Shows nothing of the other message if not."""
    if original.author_id != author_id or original.content_digest != digest:
        raise IdempotencyKeyReused("this clientMessageId belongs to another message", path=("input", "clientMessageId"))
