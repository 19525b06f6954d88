"""Changes to rooms themselves. Each records what it changed in the room's log."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from roomcast.core import audit, event_log
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import Conflict
from roomcast.core.ids import global_id
from roomcast.core.text_folding import fold, search_form
from roomcast.rooms import policy
from roomcast.rooms.events import RoomChanged, RoomDeleted
from roomcast.rooms.membership_changes import RoomChange, add_memberships, existing_user_ids, load_room_locked
from roomcast.rooms.models import Room, RoomRole, RoomVisibility
from roomcast.rooms.policy import Right


@dataclass(frozen=True, slots=True)
class NewRoom:
    name: str
    visibility: RoomVisibility = RoomVisibility.PUBLIC
    topic: str | None = None
    description: str | None = None
    member_ids: Sequence[UUID | None] = ()
    idempotency_key: UUID | None = None


@dataclass(frozen=True, slots=True)
class RoomPatch:
    """What a room shall say of itself from now on. None leaves a thing as it is; an empty text takes it away."""

    name: str | None = None
    topic: str | None = None
    description: str | None = None
    visibility: RoomVisibility | None = None
    slow_mode_seconds: int | None = None


async def create_room(work: Work, actor: Actor, new: NewRoom) -> RoomChange:
    """A room owned by the actor, with the given people in it. Announces MemberChanged for each of them.

    With an idempotency key used before by the same person, that first room again. Raises ValidationFailed,
    NotFound for unknown people, Conflict for the name of another public room.
    """
    if new.idempotency_key is not None and (made := await _made_before(work, actor, new.idempotency_key)):
        return RoomChange(made, None)
    others = [id_ for id_ in await existing_user_ids(work, new.member_ids, "memberIds") if id_ != actor.user_id]
    room = _described(actor, new)
    try:
        async with work.session.begin_nested():
            work.session.add(room)
    except IntegrityError:  # the name is taken, or the same request won the race
        if new.idempotency_key is not None and (made := await _made_before(work, actor, new.idempotency_key)):
            return RoomChange(made, None)
        raise _name_taken() from None
    await event_log.open_log(work.session, room.id, room.created_at)
    seq = await add_memberships(work, room, {actor.user_id: RoomRole.OWNER, **dict.fromkeys(others, RoomRole.MEMBER)})
    return RoomChange(room, seq)


async def update_room(work: Work, actor: Actor, room_id: UUID | None, patch: RoomPatch) -> RoomChange:
    """The room says of itself what the patch says. Announces RoomChanged if that is anything new.

    Made private, it ends the streams of those who are no members. Raises NotFound, NotAMember, Forbidden,
    RoomArchived, ValidationFailed, Conflict for the name of another public room.
    """
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.EDIT_ROOM)
    before = view.room.model_dump()
    _apply(view.room, patch)
    if view.room.model_dump() == before:
        return RoomChange(view.room, None)
    try:
        await work.session.flush()
    except IntegrityError:
        raise _name_taken() from None
    renamed = view.room.name if view.room.name != before["name"] else None
    return await _told(work, actor, view.room, "ROOM_UPDATED", renamed)


async def archive_room(work: Work, actor: Actor, room_id: UUID | None) -> RoomChange:
    """Nobody writes in the room any more; it stays readable. Announces RoomChanged. Raises as `update_room`."""
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.ARCHIVE)
    if view.room.archived_at is not None:
        return RoomChange(view.room, None)
    view.room.archived_at = now()
    return await _told(work, actor, view.room, "ROOM_ARCHIVED")


async def unarchive_room(work: Work, actor: Actor, room_id: UUID | None) -> RoomChange:
    """The room is open again. Announces RoomChanged. Raises NotFound, NotAMember, Forbidden."""
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.ARCHIVE)
    if view.room.archived_at is None:
        return RoomChange(view.room, None)
    view.room.archived_at = None
    return await _told(work, actor, view.room, "ROOM_UNARCHIVED")


async def delete_room(work: Work, actor: Actor, room_id: UUID | None) -> UUID:
    """The room, its log and everything in it are gone, and every stream of it ends. Its id.

    Raises NotFound, NotAMember, Forbidden.
    """
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.DELETE_ROOM)
    gone = view.room.id
    audit.record_audit_entry(work, actor, "ROOM_DELETED", global_id("room", gone), room_id=gone)
    # Locks the head, then the room, then by cascade all that hangs on the room: others lock in this order too.
    await work.end_log(RoomDeleted(room_id=gone, at=now()))
    await work.session.delete(view.room)
    return gone


async def _told(work: Work, actor: Actor, room: Room, deed: str, renamed: str | None = None) -> RoomChange:
    audit.record_audit_entry(work, actor, deed, global_id("room", room.id), room_id=room.id)
    event = RoomChanged(room_id=room.id, at=now(), new_name=renamed, by_id=actor.user_id)
    return RoomChange(room, (await work.record(event)).seq)


async def _made_before(work: Work, actor: Actor, key: UUID) -> Room | None:
    mine = select(Room).where(Room.created_by_id == actor.user_id, Room.idempotency_key == key)
    return (await work.session.exec(mine)).first()


def _described(actor: Actor, new: NewRoom) -> Room:
    room = Room(
        visibility=new.visibility,
        topic=policy.check_topic(new.topic),
        description=policy.check_description(new.description),
        created_at=now(),
        created_by_id=actor.user_id,
        idempotency_key=new.idempotency_key,
    )
    _name(room, policy.check_name(new.name))
    return room


def _apply(room: Room, patch: RoomPatch) -> None:
    if patch.visibility is not None:
        room.visibility = patch.visibility
    if patch.topic is not None:
        room.topic = policy.check_topic(patch.topic)
    if patch.description is not None:
        room.description = policy.check_description(patch.description)
    if patch.slow_mode_seconds is not None:
        room.slow_mode_seconds = policy.check_slow_mode(patch.slow_mode_seconds)
    _name(room, room.name or "" if patch.name is None else policy.check_name(patch.name))


def _name(room: Room, name: str) -> None:
    room.name, room.name_key = name, search_form(name)[: policy.MAX_NAME_KEY]
    room.public_name_key = fold(name) if room.visibility == RoomVisibility.PUBLIC else None


def _name_taken() -> Conflict:
    return Conflict("another room has this name, or one that looks like it", path=("input", "name"))
