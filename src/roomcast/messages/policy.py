"""Who may say what. Pure: rows in, verdict out."""

from roomcast.core.errors import IdempotencyKeyReused, MessageTooLong, ReadOnly, ValidationFailed
from roomcast.core.names import is_printable
from roomcast.messages.models import Message
from roomcast.rooms import policy as rooms
from roomcast.rooms.models import Membership, Room, RoomRole

MAX_BODY = 4000
"""Characters."""


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


def check_same(original: Message, digest: str, author_id: object) -> None:
    """Whether a used key is the same message sent again. Shows nothing of the other message if not."""
    if original.author_id != author_id or original.content_digest != digest:
        raise IdempotencyKeyReused("this clientMessageId belongs to another message", path=("input", "clientMessageId"))
