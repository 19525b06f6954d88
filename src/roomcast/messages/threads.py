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


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """Deleted replies are counted: subscribers who see a deletion do not know in which thread the message was."""

    room_id: UUID
    reply_count: int
    last_reply_seq: int


async def thread_summaries(session: AsyncSession, root_ids: Collection[UUID]) -> dict[UUID, ThreadSummary]:
    """By root id. Messages without replies are left out."""
    root = col(Message.thread_root_id)
    rows = await fetch(
        session,
        sa.select(root, col(Message.room_id), func.count(), func.max(Message.seq))
        .where(root.in_(root_ids))
        .group_by(root, col(Message.room_id)),
    )
    return {root_id: ThreadSummary(room_id, replies, last) for root_id, room_id, replies, last in rows}


async def existing_thread_root(session: AsyncSession, room_id: UUID, root_id: UUID | None) -> UUID:
    """The id, if it is a message of this room. Raises NotFound."""
    found = await session.exec(select(Message.id).where(Message.id == root_id, Message.room_id == room_id))
    if root_id is None or found.first() is None:
        raise NotFound("There is no such message in this room.")
    return root_id
