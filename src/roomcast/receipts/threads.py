"""Which threads a user follows, and which replies in them they have not read. Only members of a room follow its
threads. Replies are counted from the messages on each query, so that the counts cannot drift."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.columns import higher, table
from roomcast.core.direct_queries import DirectQuery, DirectRead, fetch
from roomcast.core.keyed_reads import KeyedRead, is_key, key_parameters
from roomcast.core.paging import Key, Page, PagedList, Window
from roomcast.messages.models import Message, ThreadState
from roomcast.rooms.models import Membership

MAX_UNREAD_REPLIES = 100
"""Counts are exact up to this number and capped at it."""

_MEMBERS, _STATES, _MESSAGES = table(Membership), table(ThreadState), table(Message)
_NEWEST = _MESSAGES.alias("newest")


@dataclass(frozen=True, slots=True)
class ThreadUnread:
    """`unread_count`: replies of others that are not deleted, after what the user has read. 0 unless the user follows
    the thread."""

    root_id: UUID
    room_id: UUID
    is_following: bool
    unread_count: int


_READ_SEQ = higher(higher(_STATES.c.last_read_seq, _STATES.c.follows_after_seq), _MEMBERS.c.threads_read_seq)
_UNREAD_REPLIES = (
    sa.select(sa.literal(1).label("one"))
    .where(
        _MESSAGES.c.thread_root_id == _STATES.c.root_id,
        _MESSAGES.c.seq > _READ_SEQ,
        _MESSAGES.c.author_id.is_distinct_from(_STATES.c.user_id),
        _MESSAGES.c.deleted_at.is_(None),
    )
    .correlate(_STATES, _MEMBERS)
)
_UNREAD = sa.case(
    (
        _STATES.c.is_following,
        sa.select(sa.func.count()).select_from(_UNREAD_REPLIES.limit(MAX_UNREAD_REPLIES).subquery()).scalar_subquery(),
    ),
    else_=0,
)
_OWN_MEMBERSHIP = sa.and_(_MEMBERS.c.room_id == _STATES.c.room_id, _MEMBERS.c.user_id == _STATES.c.user_id)


_ROOTS = _MESSAGES.alias("roots")
_STATES_BY_KEY = (
    sa.select(
        _ROOTS.c.id.label("root_id"),
        _ROOTS.c.room_id,
        sa.func.coalesce(_STATES.c.is_following, _ROOTS.c.author_id == _MEMBERS.c.user_id, sa.false()).label(
            "is_following"
        ),
        _UNREAD.label("unread_count"),
        _MEMBERS.c.user_id,
    )
    .join_from(_ROOTS, _MEMBERS, _MEMBERS.c.room_id == _ROOTS.c.room_id)
    .outerjoin(_STATES, sa.and_(_STATES.c.root_id == _ROOTS.c.id, _STATES.c.user_id == _MEMBERS.c.user_id))
    .where(is_key([_ROOTS.c.id, _MEMBERS.c.user_id]))
)
thread_states: KeyedRead[tuple[UUID, UUID], ThreadUnread] = KeyedRead(
    lambda keys: DirectQuery(_STATES_BY_KEY, key_parameters(keys)),
    lambda rows: {(row[0], row[4]): ThreadUnread(row[0], row[1], bool(row[2]), row[3]) for row in rows},
)
"""By (root, user). Users who are not members of the room are left out. The author of a first message follows its
thread already before the first reply."""


async def unread_threads(
    session: AsyncSession,
    user_id: UUID,
    root_ids: Collection[UUID] | None = None,
    room_ids: Collection[UUID] | None = None,
) -> list[ThreadUnread]:
    """The threads with unread replies that the user follows: all, or those among these threads and in these rooms."""
    if root_ids is None and room_ids is None:
        return await _unread_threads(session, user_id)
    found: list[ThreadUnread] = []
    if root_ids:
        found += await _unread_threads(session, user_id, _STATES.c.root_id.in_(root_ids))
    if room_ids:
        found += await _unread_threads(session, user_id, _STATES.c.room_id.in_(room_ids))
    return found


async def _unread_threads(
    session: AsyncSession, user_id: UUID, *conditions: sa.ColumnElement[bool]
) -> list[ThreadUnread]:
    counted = (
        sa.select(_STATES.c.root_id, _STATES.c.room_id, _UNREAD.label("unread"))
        .join_from(_STATES, _MEMBERS, _OWN_MEMBERSHIP)
        .where(_STATES.c.user_id == user_id, _STATES.c.is_following, *conditions)
        .subquery()
    )
    rows = await fetch(session, sa.select(counted).where(counted.c.unread > 0))
    return [ThreadUnread(root_id, room_id, True, unread) for root_id, room_id, unread in rows]


_LAST_SEQ = (
    sa.select(sa.func.max(_MESSAGES.c.seq))
    .where(_MESSAGES.c.thread_root_id == _STATES.c.root_id)
    .correlate(_STATES)
    .scalar_subquery()
)
_FOLLOWED: "sa.Select[Any]" = (
    sa.select(_STATES.c.root_id)
    .join_from(_STATES, _MEMBERS, _OWN_MEMBERSHIP)
    .join(_NEWEST, sa.and_(_NEWEST.c.room_id == _STATES.c.room_id, _NEWEST.c.seq == _LAST_SEQ))
    .where(_STATES.c.user_id == sa.bindparam("user"), _STATES.c.is_following)
)
_FOLLOWED_LISTS = {
    unread_only: PagedList(
        "threads",
        _FOLLOWED.where(_UNREAD_REPLIES.exists()) if unread_only else _FOLLOWED,
        [Key(_NEWEST.c.created_at, descending=True), Key(_STATES.c.root_id, descending=True)],
    )
    for unread_only in (False, True)
}


def followed_threads_read(actor: Actor, window: Window, *, unread_only: bool = False) -> DirectRead[Page[tuple[UUID]]]:
    """A read of a page of root ids: the threads that the actor follows in their rooms, the one with the newest reply
    first. Threads without replies are left out."""
    return _FOLLOWED_LISTS[unread_only].page(window, {"user": actor.user_id})
