"""Reads of rooms' members for presence and typing. Presence itself is never stored."""

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.direct_queries import fetch, read_direct
from roomcast.presence.policy import MAX_VISIBLE_USERS
from roomcast.presence.registry import PresenceRegistry
from roomcast.rooms import policy, queries
from roomcast.rooms.models import Membership

MAX_ROWS = 1_000
"""User ids in one statement, or members of one room that it reads."""

_MEMBERS = table(Membership)


async def member_ids(session: AsyncSession, room_id: UUID) -> set[UUID]:
    rows = await fetch(session, sa.select(_MEMBERS.c.user_id).where(_MEMBERS.c.room_id == room_id))
    return {user_id for (user_id,) in rows}


async def visible_members(
    session: AsyncSession, room_ids: Collection[UUID], registry: PresenceRegistry
) -> dict[UUID, list[UUID]]:
    """The visible members of each room, at most MAX_VISIBLE_USERS of each. One statement.

    While at most MAX_ROWS users are visible on the whole server, the result is complete. Beyond that, only the first
    MAX_ROWS members of each room are considered.
    """
    visible, found = registry.visible_user_ids, dict[UUID, list[UUID]]()
    if not visible:
        return found
    chosen = sa.select(
        _MEMBERS.c.room_id,
        _MEMBERS.c.user_id,
        sa.func.row_number().over(partition_by=_MEMBERS.c.room_id, order_by=_MEMBERS.c.user_id).label("row_number"),
    ).where(_MEMBERS.c.room_id.in_(room_ids))
    limit = MAX_ROWS
    if len(visible) <= MAX_ROWS:
        chosen, limit = chosen.where(_MEMBERS.c.user_id.in_(visible)), MAX_VISIBLE_USERS
    numbered = chosen.subquery()
    statement = sa.select(numbered.c.room_id, numbered.c.user_id).where(numbered.c.row_number <= limit)
    for room_id, user_id in await fetch(session, statement):
        if registry.is_visible(user_id) and len(found.setdefault(room_id, [])) < MAX_VISIBLE_USERS:
            found[room_id].append(user_id)
    return found


async def room_for_typing(session: AsyncSession, actor: Actor, room_id: UUID | None, *, typing: bool) -> UUID:
    """The room's id, if the actor may read the room and, with `typing`, send messages there. Slow mode does not apply.

    Raises NotFound, NotAMember, RoomArchived, ReadOnly, Muted.
    """
    view = await read_direct(session, queries.room_read(actor, room_id))
    if typing:
        policy.check_send(actor, view.room, view.membership, now())
    return view.room.id
