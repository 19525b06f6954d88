"""Changes to rooms and to who is in them. Each records what it changed in the room's log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from roomcast.accounts import queries as accounts
from roomcast.core import log
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import Conflict, NotFound, ValidationFailed
from roomcast.core.names import fold
from roomcast.rooms import policy, queries
from roomcast.rooms.events import MemberChange, MemberChanged
from roomcast.rooms.models import Membership, Room, RoomRole, RoomVisibility
from roomcast.rooms.queries import RoomView


@dataclass(frozen=True, slots=True)
class NewRoom:
    name: str
    visibility: RoomVisibility = RoomVisibility.PUBLIC
    topic: str | None = None
    description: str | None = None
    member_ids: Sequence[UUID | None] = ()
    idempotency_key: UUID | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A room after a change. `seq` is the position of the last event it caused; None when nothing changed."""

    room: Room
    seq: int | None


async def create_room(work: Work, actor: Actor, new: NewRoom) -> Changed:
    """A room owned by the actor, with the given people in it. Announces MemberChanged for each of them.

    With an idempotency key used before by the same person, that first room again. Raises ValidationFailed,
    NotFound for unknown people, Conflict for the name of another public room.
    """
    if new.idempotency_key is not None and (made := await _made_before(work, actor, new.idempotency_key)):
        return Changed(made, None)
    people = await _people(work, actor, new.member_ids)
    room = _described(actor, new)
    try:
        async with work.session.begin_nested():
            work.session.add(room)
    except IntegrityError:  # the name is taken, or the same request won the race
        if new.idempotency_key is not None and (made := await _made_before(work, actor, new.idempotency_key)):
            return Changed(made, None)
        raise Conflict("another room has this name, or one that looks like it", path=("input", "name")) from None
    await log.open_log(work.session, room.id, room.created_at)
    seq = await _admit(work, room, {actor.user_id: RoomRole.OWNER, **dict.fromkeys(people, RoomRole.MEMBER)})
    return Changed(room, seq)


async def join_room(work: Work, actor: Actor, room_id: UUID | None) -> Changed:
    """The actor becomes a member of a public room; joining twice changes nothing. Announces MemberChanged.

    Raises NotFound, RoomArchived.
    """
    view = await reach_locked(work, actor, room_id)
    if view.membership is not None:
        return Changed(view.room, None)
    policy.check_join(view.room)
    return Changed(view.room, await _admit(work, view.room, {actor.user_id: RoomRole.MEMBER}))


async def leave_room(work: Work, actor: Actor, room_id: UUID | None) -> Changed:
    """The actor is no member any more. Announces MemberChanged. Raises NotFound, NotAMember, Conflict, Forbidden."""
    view = await reach_locked(work, actor, room_id)
    owners = await queries.owner_count(work.session, view.room.id)
    membership = policy.check_leave(view.room, view.membership, owners)
    await work.session.delete(membership)
    view.room.member_count -= 1
    event = MemberChanged(room_id=view.room.id, at=now(), user_id=actor.user_id, change=MemberChange.LEFT)
    return Changed(view.room, (await work.record(event)).seq)


async def reach_locked(work: Work, actor: Actor, room_id: UUID | None) -> RoomView:
    """As `queries.reach`, with the room's head locked first: what is decided on this view still holds at the commit."""
    if room_id is None or not await log.lock_heads(work.session, [room_id]):
        raise NotFound("no such room")
    return await queries.reach(work.session, actor, room_id)


async def _made_before(work: Work, actor: Actor, key: UUID) -> Room | None:
    mine = select(Room).where(Room.created_by_id == actor.user_id, Room.idempotency_key == key)
    return (await work.session.exec(mine)).first()


async def _people(work: Work, actor: Actor, ids: Sequence[UUID | None]) -> list[UUID]:
    if len(ids) > policy.MAX_FIRST_MEMBERS:
        raise ValidationFailed(
            f"at most {policy.MAX_FIRST_MEMBERS} people at once; add more later", path=("input", "memberIds")
        )
    wanted = {id_ for id_ in ids if id_ is not None}
    if len(wanted) != len(set(ids)) or len(await accounts.users_by_id(work.session, wanted)) != len(wanted):
        raise NotFound("no such person", path=("input", "memberIds"))
    return sorted(wanted - {actor.user_id})


def _described(actor: Actor, new: NewRoom) -> Room:
    name = policy.check_name(new.name)
    return Room(
        visibility=new.visibility,
        name=name,
        public_name_key=fold(name) if new.visibility == RoomVisibility.PUBLIC else None,
        topic=policy.check_topic(new.topic),
        description=policy.check_description(new.description),
        created_at=now(),
        created_by_id=actor.user_id,
        idempotency_key=new.idempotency_key,
    )


async def _admit(work: Work, room: Room, roles: dict[UUID, RoomRole]) -> int:
    """Everybody starts having read all there is. Returns the seq of the last announcement."""
    [head] = (await log.lock_heads(work.session, [room.id])).values()
    joined: datetime = now()
    for user_id, role in roles.items():
        work.session.add(
            Membership(
                room_id=room.id, user_id=user_id, role=role, joined_at=joined, last_read_seq=head.last_seq + len(roles)
            )
        )
    room.member_count += len(roles)
    events = [
        MemberChanged(room_id=room.id, at=joined, user_id=user_id, change=MemberChange.JOINED, role=role)
        for user_id, role in roles.items()
    ]
    return (await work.record_all(events))[-1].seq
