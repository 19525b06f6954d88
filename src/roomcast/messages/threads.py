"""Threads: the replies below one message. Counted when asked for, so that no counter can be wrong."""

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
    """A deleted reply keeps its place and is counted: who was told of the deletion need not know whose reply it was."""

    room_id: UUID
    reply_count: int
    last_reply_seq: int


async def thread_summaries(session: AsyncSession, root_ids: Collection[UUID]) -> dict[UUID, ThreadSummary]:
    """Of those messages that have replies."""
    root = col(Message.thread_root_id)
    rows = await fetch(
        session,
        sa.select(root, col(Message.room_id), func.count(), func.max(Message.seq))
        .where(root.in_(root_ids))
        .group_by(root, col(Message.room_id)),
    )
    return {root_id: ThreadSummary(room_id, replies, last) for root_id, room_id, replies, last in rows}


async def existing_thread_root(session: AsyncSession, room_id: UUID, root_id: UUID | None) -> UUID:
    """The id, if a message of this room has it. Raises NotFound."""
    found = await session.exec(select(Message.id).where(Message.id == root_id, Message.room_id == room_id))
    if root_id is None or found.first() is None:
        raise NotFound("no such message in this room")
    return root_id
