"""Direct conversations: one room for each set of people, found or made."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from roomcast.core import event_log
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import NotFound, ValidationFailed
from roomcast.rooms import policy
from roomcast.rooms.membership_changes import RoomChange, add_memberships, existing_user_ids
from roomcast.rooms.models import Membership, Room, RoomKind, RoomRole, RoomVisibility


async def open_direct_message(work: Work, actor: Actor, user_ids: Sequence[UUID | None]) -> RoomChange:
    """The conversation of the actor and these people, made if it is the first time; the others see it at its first
    message. Two who open it at once get the same. Announces MemberChanged for each person of a new one.

    Raises ValidationFailed, NotFound for unknown people; with the banned only what was begun before is opened.
    """
    everyone = _everyone(actor, user_ids)
    key = _key(everyone)
    if (made := await _opened(work, actor, key)) is not None:
        return RoomChange(made, None)
    everyone = await existing_user_ids(work, everyone, "userIds")
    room = Room(
        kind=RoomKind.DIRECT,
        visibility=RoomVisibility.PRIVATE,
        direct_key=key,
        created_at=now(),
        created_by_id=actor.user_id,
    )
    try:
        async with work.session.begin_nested():
            work.session.add(room)
    except IntegrityError:  # one of the others was quicker
        made = await _opened(work, actor, key)
        if made is None:
            raise
        return RoomChange(made, None)
    await event_log.open_log(work.session, room.id, room.created_at)
    seq = await add_memberships(work, room, dict.fromkeys(everyone, RoomRole.MEMBER))
    await _opened(work, actor, key)
    return RoomChange(room, seq)


def _everyone(actor: Actor, user_ids: Sequence[UUID | None]) -> Sequence[UUID]:
    """Who would be in it."""
    others = [id_ for id_ in user_ids if id_ is not None]
    if len(others) < len(user_ids):
        raise NotFound("no such person", path=("input", "userIds"))
    everyone = sorted({actor.user_id, *others})
    if not 2 <= len(everyone) <= policy.MAX_DIRECT_MEMBERS:
        limit = policy.MAX_DIRECT_MEMBERS
        raise ValidationFailed(f"a direct conversation has 2 to {limit} people", path=("input", "userIds"))
    return everyone


async def _opened(work: Work, actor: Actor, key: str) -> Room | None:
    """The conversation, which the actor has in their list from now on."""
    mine = select(Room, Membership).where(
        Room.direct_key == key, col(Membership.room_id) == Room.id, Membership.user_id == actor.user_id
    )
    found = (await work.session.exec(mine)).first()
    if found is None:
        return None
    room, membership = found
    membership.opened = True
    return room


def _key(everyone: Sequence[UUID]) -> str:
    """`everyone`: in the order of ids."""
    return hashlib.sha256(b"".join(id_.bytes for id_ in everyone)).hexdigest()
