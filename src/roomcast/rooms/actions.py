"""Creating, changing, archiving and deleting rooms. Each change is recorded in the room's event log."""

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
from roomcast.core.unchanged import UNCHANGED, Unchanged
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
    """The fields to change. None leaves a field as it is; it clears the topic and the description."""

    name: str | None = None
    topic: str | None | Unchanged = UNCHANGED
    description: str | None | Unchanged = UNCHANGED
    visibility: RoomVisibility | None = None
    slow_mode_seconds: int | None = None


async def create_room(work: Work, actor: Actor, new: NewRoom) -> RoomChange:
    """Create a room that the actor owns, with these users as members. Announces MemberChanged for each member.

    An idempotency key that the same user has used before returns the room of that request. Raises ValidationFailed,
    NotFound (unknown users), Conflict (the name of another public room).
    """
    if new.idempotency_key is not None and (existing := await _existing_room(work, actor, new.idempotency_key)):
        return RoomChange(existing, None)
    others = [id_ for id_ in await existing_user_ids(work, new.member_ids, "memberIds") if id_ != actor.user_id]
    room = _build_room(actor, new)
    try:
        async with work.session.begin_nested():  # A savepoint: after a conflict the transaction is still usable.
            work.session.add(room)
    except IntegrityError:  # Another room has the name, or a concurrent request with the same key was first.
        if new.idempotency_key is not None and (existing := await _existing_room(work, actor, new.idempotency_key)):
            return RoomChange(existing, None)
        raise _name_taken() from None
    await event_log.open_log(work.session, room.id, room.created_at)
    roles = {actor.user_id: RoomRole.OWNER, **dict.fromkeys(others, RoomRole.MEMBER)}
    return await add_memberships(work, room, roles)


async def update_room(work: Work, actor: Actor, room_id: UUID | None, patch: RoomPatch) -> RoomChange:
    """Apply the patch. Announces RoomChanged if anything changes.

    Making the room private ends the streams of users who are not members. Raises NotFound, NotAMember, Forbidden,
    RoomArchived, ValidationFailed, Conflict (the name of another public room).
    """
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.EDIT_ROOM)
    values_before = view.room.model_dump()
    _apply(view.room, patch)
    if view.room.model_dump() == values_before:
        return RoomChange(view.room, None)
    try:
        await work.session.flush()
    except IntegrityError:
        raise _name_taken() from None
    old_name, new_name = values_before["name"], view.room.name
    return await _record_change(
        work, actor, view.room, "ROOM_UPDATED", (old_name, new_name) if new_name != old_name else None
    )


async def archive_room(work: Work, actor: Actor, room_id: UUID | None) -> RoomChange:
    """Archive the room: it stays readable, nobody can send. Announces RoomChanged. Raises NotFound, NotAMember,
    Forbidden."""
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.ARCHIVE)
    if view.room.archived_at is not None:
        return RoomChange(view.room, None)
    view.room.archived_at = now()
    return await _record_change(work, actor, view.room, "ROOM_ARCHIVED")


async def unarchive_room(work: Work, actor: Actor, room_id: UUID | None) -> RoomChange:
    """Reopen an archived room. Announces RoomChanged. Raises NotFound, NotAMember, Forbidden."""
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.ARCHIVE)
    if view.room.archived_at is None:
        return RoomChange(view.room, None)
    view.room.archived_at = None
    return await _record_change(work, actor, view.room, "ROOM_UNARCHIVED")


async def delete_room(work: Work, actor: Actor, room_id: UUID | None) -> UUID:
    """Delete the room with everything in it and end its streams. Returns its id.

    Raises NotFound, NotAMember, Forbidden.
    """
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.DELETE_ROOM)
    deleted_id = view.room.id
    audit.record_audit_entry(work, actor, "ROOM_DELETED", global_id("room", deleted_id), room_id=deleted_id)
    # Lock order, here and everywhere: the head, the room, then (by cascade) the rows that refer to the room.
    await work.delete_log(RoomDeleted(room_id=deleted_id, at=now()))
    await work.session.delete(view.room)
    return deleted_id


async def _record_change(
    work: Work, actor: Actor, room: Room, action: str, renamed: tuple[str | None, str | None] | None = None
) -> RoomChange:
    """`renamed`: the name before and after, if it changed."""
    audit.record_audit_entry(work, actor, action, global_id("room", room.id), room_id=room.id)
    previous_name, new_name = renamed or (None, None)
    event = RoomChanged(room_id=room.id, at=now(), new_name=new_name, previous_name=previous_name, by_id=actor.user_id)
    return RoomChange(room, (await work.record(event)).seq)


async def _existing_room(work: Work, actor: Actor, key: UUID) -> Room | None:
    own = select(Room).where(Room.created_by_id == actor.user_id, Room.idempotency_key == key)
    return (await work.session.exec(own)).first()


def _build_room(actor: Actor, new: NewRoom) -> Room:
    room = Room(
        visibility=new.visibility,
        topic=policy.check_topic(new.topic),
        description=policy.check_description(new.description),
        created_at=now(),
        created_by_id=actor.user_id,
        idempotency_key=new.idempotency_key,
    )
    _set_name(room, policy.check_name(new.name))
    return room


def _apply(room: Room, patch: RoomPatch) -> None:
    if patch.visibility is not None:
        room.visibility = patch.visibility
    if not isinstance(patch.topic, Unchanged):
        room.topic = policy.check_topic(patch.topic)
    if not isinstance(patch.description, Unchanged):
        room.description = policy.check_description(patch.description)
    if patch.slow_mode_seconds is not None:
        room.slow_mode_seconds = policy.check_slow_mode(patch.slow_mode_seconds)
    _set_name(room, room.name or "" if patch.name is None else policy.check_name(patch.name))


def _set_name(room: Room, name: str) -> None:
    room.name, room.name_key = name, search_form(name)[: policy.MAX_NAME_KEY]
    room.public_name_key = fold(name) if room.visibility == RoomVisibility.PUBLIC else None


def _name_taken() -> Conflict:
    return Conflict(
        "Another public room has this name or one that looks like it. Choose another name.", path=("input", "name")
    )
