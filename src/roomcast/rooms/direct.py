"""Direct conversations: one room for each set of members."""

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
    """The direct conversation of the actor and these users. It is created on first use and appears in the others' lists
    with its first message. Concurrent requests get the same room. Announces MemberChanged for each member of a new
    one.

    Raises ValidationFailed, NotFound (unknown users). An existing conversation with a banned user can be opened, a new
    one cannot be created.
    """
    member_ids = _member_ids(actor, user_ids)
    key = hashlib.sha256(b"".join(id_.bytes for id_ in member_ids)).hexdigest()
    if (existing := await _open_existing(work, actor, key)) is not None:
        return RoomChange(existing, None)
    member_ids = await existing_user_ids(work, member_ids, "userIds")
    room = Room(
        kind=RoomKind.DIRECT,
        visibility=RoomVisibility.PRIVATE,
        direct_key=key,
        created_at=now(),
        created_by_id=actor.user_id,
    )
    try:
        async with work.session.begin_nested():  # A savepoint: after a conflict the transaction is still usable.
            work.session.add(room)
    except IntegrityError:  # A concurrent request of another member was first.
        existing = await _open_existing(work, actor, key)
        if existing is None:
            raise
        return RoomChange(existing, None)
    await event_log.open_log(work.session, room.id, room.created_at)
    created = await add_memberships(work, room, dict.fromkeys(member_ids, RoomRole.MEMBER))
    await _open_existing(work, actor, key)
    return created


def _member_ids(actor: Actor, user_ids: Sequence[UUID | None]) -> Sequence[UUID]:
    """The ids of all members, the actor included, sorted. Raises NotFound, ValidationFailed."""
    others = [id_ for id_ in user_ids if id_ is not None]
    if len(others) < len(user_ids):
        raise NotFound("There is no such user.", path=("input", "userIds"))
    member_ids = sorted({actor.user_id, *others})
    if not 2 <= len(member_ids) <= policy.MAX_DIRECT_MEMBERS:
        limit = policy.MAX_DIRECT_MEMBERS
        raise ValidationFailed(f"A direct conversation has 2 to {limit} members.", path=("input", "userIds"))
    return member_ids


async def _open_existing(work: Work, actor: Actor, key: str) -> Room | None:
    """The conversation with this key, if it exists. Marks it as opened, which puts it into the actor's list."""
    own = select(Room, Membership).where(
        Room.direct_key == key, col(Membership.room_id) == Room.id, Membership.user_id == actor.user_id
    )
    found = (await work.session.exec(own)).first()
    if found is None:
        return None
    room, membership = found
    membership.opened = True
    return room
