"""Threads: the replies to one message. They are counted on demand, so there is no counter to keep right."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.direct_queries import fetch
from roomcast.core.errors import NotFound
from roomcast.messages.models import Message

MAX_PARTICIPANTS = 5
"""Users who are shown with a thread."""


@dataclass(frozen=True, slots=True)
class Thread:
    """`id`: that of the first message. Deleted replies are counted: they keep their places. `last_reply_seq`: None
    without replies."""

    id: UUID
    room_id: UUID
    reply_count: int = 0
    last_reply_seq: int | None = None


async def threads_by_root(session: AsyncSession, root_ids: Collection[UUID]) -> dict[UUID, Thread]:
    """By root id. Messages without replies are left out."""
    root = col(Message.thread_root_id)
    rows = await fetch(
        session,
        sa.select(root, col(Message.room_id), func.count(), func.max(Message.seq))
        .where(root.in_(root_ids))
        .group_by(root, col(Message.room_id)),
    )
    return {row[0]: Thread(*row) for row in rows}


async def participant_ids(session: AsyncSession, root_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """By root id: the users who replied, the one with the newest reply first, at most MAX_PARTICIPANTS."""
    root, author, newest = col(Message.thread_root_id), col(Message.author_id), func.max(Message.seq)
    place = func.row_number().over(partition_by=root, order_by=newest.desc()).label("place")
    ranked = (
        sa.select(root.label("root_id"), author.label("user_id"), place)
        .where(root.in_(root_ids), author.is_not(None))
        .group_by(root, author)
        .subquery()
    )
    rows = await fetch(
        session,
        sa.select(ranked.c.root_id, ranked.c.user_id)
        .where(ranked.c.place <= MAX_PARTICIPANTS)
        .order_by(ranked.c.root_id, ranked.c.place),
    )
    found: dict[UUID, list[UUID]] = {}
    for root_id, user_id in rows:
        found.setdefault(root_id, []).append(user_id)
    return found


async def existing_thread_root(session: AsyncSession, room_id: UUID, root_id: UUID | None) -> UUID:
    """The id, if it is a message of this room. Raises NotFound."""
    found = await session.exec(select(Message.id).where(Message.id == root_id, Message.room_id == room_id))
    if root_id is None or found.first() is None:
        raise NotFound("There is no such message in this room.")
    return root_id
