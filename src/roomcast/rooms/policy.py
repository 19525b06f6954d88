"""What a room may be called and who may do what in it. Pure: rows in, verdict out."""

from roomcast.core.actor import Actor
from roomcast.core.errors import Conflict, Forbidden, NotAMember, RoomArchived, ValidationFailed
from roomcast.core.names import fold, is_printable
from roomcast.rooms.models import Membership, Room, RoomKind, RoomRole, RoomVisibility

MAX_NAME, MAX_TOPIC, MAX_DESCRIPTION = 80, 250, 2000
MAX_FIRST_MEMBERS = 100


def may_read(actor: Actor, room: Room, membership: Membership | None) -> bool:
    """Members read, and every signed-in person reads what is public. An administrator is a stranger in private."""
    return membership is not None or room.visibility == RoomVisibility.PUBLIC


def may_send(room: Room, membership: Membership | None) -> bool:
    return membership is not None and membership.role != RoomRole.READ_ONLY and room.archived_at is None


def check_open(room: Room) -> None:
    if room.archived_at is not None:
        raise RoomArchived("this room is archived")


def check_member(membership: Membership | None) -> Membership:
    if membership is None:
        raise NotAMember("join the room first")
    return membership


def check_join(room: Room) -> None:
    """Of a room the actor can see: the private ones among them are already theirs."""
    check_open(room)
    if room.visibility != RoomVisibility.PUBLIC:
        raise Forbidden("one enters a private room by invitation")


def check_leave(room: Room, membership: Membership | None, owner_count: int) -> Membership:
    member = check_member(membership)
    if room.kind == RoomKind.DIRECT:
        raise Forbidden("a direct conversation cannot be left")
    if member.role == RoomRole.OWNER and owner_count == 1:
        raise Conflict("the last owner hands the room over before leaving it")
    return member


def check_name(name: str) -> str:
    """The name as it will be stored."""
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= MAX_NAME or not is_printable(name) or not fold(tidy):
        raise ValidationFailed(f"a room's name has 1 to {MAX_NAME} printable characters", path=("input", "name"))
    return tidy


def check_topic(topic: str | None) -> str | None:
    if topic is not None and (len(topic) > MAX_TOPIC or not is_printable(topic)):
        raise ValidationFailed(f"a topic has at most {MAX_TOPIC} printable characters", path=("input", "topic"))
    return topic or None


def check_description(description: str | None) -> str | None:
    if description is not None and (len(description) > MAX_DESCRIPTION or not is_printable(description, lines=True)):
        raise ValidationFailed(
            f"a description has at most {MAX_DESCRIPTION} printable characters", path=("input", "description")
        )
    return description or None
