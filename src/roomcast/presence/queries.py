"""Questions about rooms' members, for those who want to know which of them are here. Nothing of it is ever written."""

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.direct_queries import fetch
from roomcast.presence.people import People
from roomcast.presence.policy import MAX_SHOWN
from roomcast.rooms import policy, queries
from roomcast.rooms.models import Membership

MANY = 1_000
"""People whom one statement names, or members of one room whom it reads."""

_MEMBERS = table(Membership)


async def member_ids(session: AsyncSession, room_id: UUID) -> set[UUID]:
    rows = await fetch(session, sa.select(_MEMBERS.c.user_id).where(_MEMBERS.c.room_id == room_id))
    return {user_id for (user_id,) in rows}


async def active_people(session: AsyncSession, room_ids: Collection[UUID], people: People) -> dict[UUID, list[UUID]]:
    """The people of each of these rooms who are shown as present, at most MAX_SHOWN of each. One statement.

    All are looked at while no more than MANY are present on the whole server; beyond that, in a room of more than
    MANY members, so many of its members.
    """
    present, found = people.shown, dict[UUID, list[UUID]]()
    if not present:
        return found
    chosen = sa.select(
        _MEMBERS.c.room_id,
        _MEMBERS.c.user_id,
        sa.func.row_number().over(partition_by=_MEMBERS.c.room_id, order_by=_MEMBERS.c.user_id).label("place"),
    ).where(_MEMBERS.c.room_id.in_(room_ids))
    limit = MANY
    if len(present) <= MANY:
        chosen, limit = chosen.where(_MEMBERS.c.user_id.in_(present)), MAX_SHOWN
    numbered = chosen.subquery()
    wanted = sa.select(numbered.c.room_id, numbered.c.user_id).where(numbered.c.place <= limit)
    for room_id, user_id in await fetch(session, wanted):
        if people.is_shown(user_id) and len(found.setdefault(room_id, [])) < MAX_SHOWN:
            found[room_id].append(user_id)
    return found


async def room_to_type_in(session: AsyncSession, actor: Actor, room_id: UUID | None, *, typing: bool) -> UUID:
    """The room, if this person may read it, and if `typing` write in it: at any pace, since typing is not sending.

    Raises NotFound, NotAMember, RoomArchived, ReadOnly, Muted.
    """
    view = await queries.readable_room(session, actor, room_id)
    if typing:
        policy.check_send(actor, view.room, view.membership, now())
    return view.room.id
