"""What people do to their own place in a room: read on, and say how they want to be called."""

from dataclasses import dataclass
from uuid import UUID

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import NotFound
from roomcast.messages.queries import messages_by_id
from roomcast.receipts import policy
from roomcast.receipts.events import MembershipStateChanged, ReadMarkerMoved
from roomcast.rooms import queries, read_state
from roomcast.rooms.models import Membership, Room
from roomcast.rooms.policy import check_member
from roomcast.rooms.read_state import Preferences


async def mark_read(
    work: Work, actor: Actor, room_id: UUID | None, up_to_message_id: UUID | None, *, force: bool = False
) -> Membership:
    """The actor has read up to and including that message. Only `force` moves the mark back.

    Signals ReadMarkerMoved in rooms small enough. Raises NotFound, NotAMember.
    """
    view = await queries.readable_room(work.session, actor, room_id)
    member = check_member(view.membership)
    ids = [up_to_message_id] if up_to_message_id is not None else []
    message = next(iter((await messages_by_id(work.session, ids)).values()), None)
    if message is None or message.room_id != view.room.id:
        raise NotFound("no such message in this room", path=("input", "upToMessageId"))
    if await read_state.move_read_position(work, member, message.seq, back=force):
        _tell(work, view.room, member)
    return member


def _tell(work: Work, room: Room, member: Membership) -> None:
    at, user_id = now(), member.user_id
    work.signal(MembershipStateChanged(room_id=room.id, at=at, user_id=user_id))
    if policy.is_announced(room):
        work.signal(ReadMarkerMoved(room_id=room.id, at=at, user_id=user_id, up_to_seq=member.last_read_seq))


@dataclass(frozen=True, slots=True)
class Preferred:
    room: Room
    membership: Membership


async def set_room_preferences(work: Work, actor: Actor, room_id: UUID | None, wanted: Preferences) -> Preferred:
    """How the room calls the actor, and where it stands in their list. Raises NotFound, NotAMember."""
    view = await queries.readable_room(work.session, actor, room_id)
    member = check_member(view.membership)
    read_state.set_preferences(member, wanted)
    work.signal(MembershipStateChanged(room_id=view.room.id, at=now(), user_id=actor.user_id, preferences=True))
    return Preferred(view.room, member)
