"""Changes of a member's own read state in a room: the read position and the preferences."""

from dataclasses import dataclass
from uuid import UUID

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import NotFound
from roomcast.messages.queries import messages_by_id
from roomcast.receipts import policy
from roomcast.receipts.events import ReadMarkerMoved, ReadStateChanged
from roomcast.rooms import queries, read_state
from roomcast.rooms.models import Membership, Room
from roomcast.rooms.policy import check_member
from roomcast.rooms.read_state import Preferences


@dataclass(frozen=True, slots=True)
class ReadStateChange:
    """A room, and the actor's membership in it after the change."""

    room: Room
    membership: Membership


async def mark_read(
    work: Work, actor: Actor, room_id: UUID | None, up_to_message_id: UUID | None, *, force: bool = False
) -> ReadStateChange:
    """Move the actor's read position to that message. Only with `force` it moves back.

    Signals ReadStateChanged, and in small rooms ReadMarkerMoved. Raises NotFound, NotAMember.
    """
    view = await queries.readable_room(work.session, actor, room_id)
    member = check_member(view.membership)
    ids = [up_to_message_id] if up_to_message_id is not None else []
    message = next(iter((await messages_by_id(work.session, ids)).values()), None)
    if message is None or message.room_id != view.room.id:
        raise NotFound("There is no such message in this room.", path=("input", "upToMessageId"))
    if await read_state.move_read_position(work, member, message.seq, back=force):
        room, at, user_id = view.room, now(), member.user_id
        work.signal(ReadStateChanged(room_id=room.id, at=at, user_id=user_id))
        if policy.is_read_marker_announced(room):
            work.signal(ReadMarkerMoved(room_id=room.id, at=at, user_id=user_id, up_to_seq=member.last_read_seq))
    return ReadStateChange(view.room, member)


async def set_room_preferences(work: Work, actor: Actor, room_id: UUID | None, wanted: Preferences) -> ReadStateChange:
    """Change the actor's notification level, snooze and favourite flag for the room.

    Signals ReadStateChanged. Raises NotFound, NotAMember.
    """
    view = await queries.readable_room(work.session, actor, room_id)
    member = check_member(view.membership)
    read_state.set_preferences(member, wanted)
    work.signal(ReadStateChanged(room_id=view.room.id, at=now(), user_id=actor.user_id, preferences=True))
    return ReadStateChange(view.room, member)
