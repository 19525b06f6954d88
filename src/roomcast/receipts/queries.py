"""Unread counts, mention counts and readers. They are counted from the messages on each query and never stored, so that
they cannot drift."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import User
from roomcast.core.columns import higher, table
from roomcast.core.direct_queries import DirectQuery, count, fetch_direct_rows
from roomcast.core.event_log import RoomHead
from roomcast.core.keyed_reads import KeyedRead, is_key, key_parameters
from roomcast.core.paging import Key, Page, Window, page
from roomcast.messages.models import Mention, Message, MessageKind, ThreadState
from roomcast.rooms.models import Membership, Room

MAX_UNREAD_COUNT = 100
"""Counts are exact up to this number and capped above it."""

MAX_ROOM_MENTIONS_IN_THREADS = 500
"""A room's replies with `@room` that are looked at, the newest first. Each count looks at all of them, also at those
that the member has read."""

_MEMBERS, _MESSAGES, _MENTIONS, _STATES = table(Membership), table(Message), table(Mention), table(ThreadState)


@dataclass(frozen=True, slots=True)
class RoomReadState:
    """How far a member has read a room, and what is unread since.

    `unread_count`: messages of others after the read position, without system messages, deleted ones and replies in
    threads. `mention_count`: messages of others after it that mention the member, and replies in threads that do and
    that the member has not read, whether or not the member follows the thread.
    """

    room_id: UUID
    last_read_seq: int
    unread_count: int
    is_capped: bool
    mention_count: int
    last_seq: int = field(default=0, compare=False)
    """The last seq of the room's log at that moment. Only set by `read_states_of_user`."""
    preferences: tuple[Any, ...] = field(default=(), compare=False)
    """The member's preferences for the room, only to be compared. Only set by `read_states_of_user`."""


@dataclass(frozen=True, slots=True)
class UnreadTotals:
    unread: int
    mentions: int


def _capped_count(rows: "sa.Select[*tuple[Any, ...]]") -> sa.ScalarSelect[int]:
    """The number of rows, at most MAX_UNREAD_COUNT + 1: one more tells that the count is capped."""
    capped = rows.limit(MAX_UNREAD_COUNT + 1).correlate(_MEMBERS).subquery()
    return sa.select(func.count()).select_from(capped).scalar_subquery()


def _is_new_message() -> sa.ColumnElement[bool]:
    """The message is another user's and after the member's read position."""
    return sa.and_(
        _MESSAGES.c.room_id == _MEMBERS.c.room_id,
        _MESSAGES.c.seq > _MEMBERS.c.last_read_seq,
        _MESSAGES.c.author_id.is_distinct_from(_MEMBERS.c.user_id),
    )


_UNREAD = _capped_count(
    sa.select(sa.literal(1).label("one")).where(
        _is_new_message(),
        _MESSAGES.c.kind == MessageKind.USER,
        _MESSAGES.c.deleted_at.is_(None),
        _MESSAGES.c.thread_root_id.is_(None),
    )
)
_USER_MENTIONS = _capped_count(
    sa.select(sa.literal(1).label("one"))
    .join_from(
        _MENTIONS, _MESSAGES, sa.and_(_MESSAGES.c.room_id == _MENTIONS.c.room_id, _MESSAGES.c.seq == _MENTIONS.c.seq)
    )
    .where(
        _MENTIONS.c.user_id == _MEMBERS.c.user_id,
        _MENTIONS.c.room_id == _MEMBERS.c.room_id,
        _MENTIONS.c.seq > _MEMBERS.c.last_read_seq,
        _MESSAGES.c.thread_root_id.is_(None),
        _is_new_message(),
    )
)
_ROOM_MENTIONS = _capped_count(
    sa.select(sa.literal(1).label("one")).where(
        _is_new_message(),
        _MESSAGES.c.mentions_room,
        _MESSAGES.c.thread_root_id.is_(None),
        ~sa.exists()
        .where(_MENTIONS.c.message_id == _MESSAGES.c.id, _MENTIONS.c.user_id == _MEMBERS.c.user_id)
        .correlate(_MESSAGES, _MEMBERS),
    )
)
_USER_MENTIONS_IN_THREADS = _capped_count(
    sa.select(sa.literal(1).label("one"))
    .join_from(
        _STATES,
        _MENTIONS,
        sa.and_(
            _MENTIONS.c.thread_root_id == _STATES.c.root_id,
            _MENTIONS.c.user_id == _STATES.c.user_id,
            _MENTIONS.c.seq > higher(_STATES.c.last_read_seq, _MEMBERS.c.threads_read_seq),
        ),
    )
    .join(_MESSAGES, sa.and_(_MESSAGES.c.room_id == _MENTIONS.c.room_id, _MESSAGES.c.seq == _MENTIONS.c.seq))
    .where(
        _STATES.c.user_id == _MEMBERS.c.user_id,
        _STATES.c.room_id == _MEMBERS.c.room_id,
        _STATES.c.last_mention_seq > _STATES.c.last_read_seq,
        _MESSAGES.c.author_id.is_distinct_from(_MEMBERS.c.user_id),
    )
)
_REPLIES_TO_ALL = (
    sa.select(_MESSAGES.c.id, _MESSAGES.c.seq, _MESSAGES.c.author_id, _MESSAGES.c.thread_root_id)
    .where(
        _MESSAGES.c.room_id == _MEMBERS.c.room_id,
        _MESSAGES.c.seq > _MEMBERS.c.threads_read_seq,
        _MESSAGES.c.mentions_room,
        _MESSAGES.c.thread_root_id.is_not(None),
    )
    .order_by(_MESSAGES.c.seq.desc())
    .limit(MAX_ROOM_MENTIONS_IN_THREADS)
    .correlate(_MEMBERS)
    .subquery()
)
_ROOM_MENTIONS_IN_THREADS = _capped_count(
    sa.select(sa.literal(1).label("one"))
    .select_from(
        _REPLIES_TO_ALL.outerjoin(
            _STATES,
            sa.and_(_STATES.c.root_id == _REPLIES_TO_ALL.c.thread_root_id, _STATES.c.user_id == _MEMBERS.c.user_id),
        )
    )
    .where(
        _REPLIES_TO_ALL.c.author_id.is_distinct_from(_MEMBERS.c.user_id),
        _REPLIES_TO_ALL.c.seq > func.coalesce(_STATES.c.last_read_seq, 0),
        ~sa.exists()
        .where(_MENTIONS.c.message_id == _REPLIES_TO_ALL.c.id, _MENTIONS.c.user_id == _MEMBERS.c.user_id)
        .correlate(_REPLIES_TO_ALL, _MEMBERS),
    )
)
_COUNTS = sa.select(
    _MEMBERS.c.room_id,
    _MEMBERS.c.user_id,
    _MEMBERS.c.last_read_seq,
    _UNREAD.label("unread"),
    (_USER_MENTIONS + _ROOM_MENTIONS + _USER_MENTIONS_IN_THREADS + _ROOM_MENTIONS_IN_THREADS).label("mentions"),
)


_COUNTS_BY_KEY = _COUNTS.where(is_key([_MEMBERS.c.room_id, _MEMBERS.c.user_id]))
read_states: KeyedRead[tuple[UUID, UUID], RoomReadState] = KeyedRead(
    lambda pairs: DirectQuery(_COUNTS_BY_KEY, key_parameters(pairs)),
    lambda rows: {(row[0], row[1]): _read_state(*row) for row in rows},
)
"""The read states of these memberships, by (room, user)."""


_ROOMS, _HEADS = table(Room), table(RoomHead)
_LISTED_COUNTS = (
    _COUNTS.add_columns(
        _HEADS.c.last_seq, _MEMBERS.c.notification_level, _MEMBERS.c.snoozed_until, _MEMBERS.c.favourite
    )
    .join(_ROOMS, _ROOMS.c.id == _MEMBERS.c.room_id)
    .join(_HEADS, _HEADS.c.room_id == _ROOMS.c.id)
    .where(
        _MEMBERS.c.user_id == sa.bindparam("user"),
        _ROOMS.c.archived_at.is_(None),
        sa.or_(_ROOMS.c.direct_key.is_(None), _HEADS.c.last_activity_seq > 0, _MEMBERS.c.opened),
    )
    .order_by(_MEMBERS.c.room_id)
)
_LISTED_COUNTS_BY_ROOM = _LISTED_COUNTS.where(is_key([_MEMBERS.c.room_id]))


async def read_states_of_user(
    session: AsyncSession, user_id: UUID, among: Collection[UUID] | None = None
) -> list[RoomReadState]:
    """The read states of all rooms in the user's list, or of those with an id in `among`.

    Archived rooms are not in the list, nor direct conversations that another user has opened and nobody has written in.
    """
    query = DirectQuery[Any](_LISTED_COUNTS, {"user": user_id})
    if among is not None:
        query = DirectQuery[Any](_LISTED_COUNTS_BY_ROOM, {"user": user_id, **key_parameters(among)})
    return [_read_state(*row) for row in await fetch_direct_rows(session, query)]


Fingerprint: TypeAlias = tuple[Any, ...]

_FINGERPRINTS = (
    sa.select(
        _MEMBERS.c.user_id,
        func.count(),
        func.max(_MEMBERS.c.joined_at),
        func.sum(_MEMBERS.c.last_read_seq),
        func.sum(_MEMBERS.c.thread_changes),
        func.sum(func.length(_MEMBERS.c.notification_level)),
        func.max(_MEMBERS.c.snoozed_until),
        func.count(_MEMBERS.c.snoozed_until),
        func.sum(sa.case((_MEMBERS.c.favourite, 1), else_=0)),
        func.sum(sa.case((_MEMBERS.c.opened, 1), else_=0)),
    )
    .where(is_key([_MEMBERS.c.user_id]))
    .group_by(_MEMBERS.c.user_id)
)


async def fingerprints(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, Fingerprint]:
    """A value over all memberships of each user. It differs after the user reads on, reads or follows a thread, changes
    a preference, joins a room or leaves one. Cheap: no messages are counted. Users without a membership are missing."""
    rows = await fetch_direct_rows(session, DirectQuery[Any](_FINGERPRINTS, key_parameters(user_ids)))
    return {row[0]: tuple(row[1:]) for row in rows}


_ROOMS_OF_USER = sa.select(_MEMBERS.c.room_id).where(_MEMBERS.c.user_id == sa.bindparam("user"))


async def room_ids_of_user(session: AsyncSession, user_id: UUID) -> list[UUID]:
    """All rooms that the user is a member of, also those that are not in the list."""
    query = DirectQuery[Any](_ROOMS_OF_USER, {"user": user_id})
    return [room_id for (room_id,) in await fetch_direct_rows(session, query)]


async def unread_totals(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, UnreadTotals]:
    """The sums over all rooms in each user's list."""
    return {user_id: sum_unread(await read_states_of_user(session, user_id)) for user_id in user_ids}


def sum_unread(rooms: Collection[RoomReadState]) -> UnreadTotals:
    """A capped room counts as MAX_UNREAD_COUNT."""
    return UnreadTotals(sum(room.unread_count for room in rooms), sum(room.mention_count for room in rooms))


def _read_state(
    room_id: UUID, _user_id: UUID, last_read_seq: int, unread: int, mentions: int, *listed: Any
) -> RoomReadState:
    last_seq, *preferences = listed or (0,)
    return RoomReadState(
        room_id,
        last_read_seq,
        unread_count=min(unread, MAX_UNREAD_COUNT),
        is_capped=unread > MAX_UNREAD_COUNT,
        mention_count=min(mentions, MAX_UNREAD_COUNT),
        last_seq=last_seq,
        preferences=tuple(preferences),
    )


# ------------------------------------------------------------------ who has read


async def readers(session: AsyncSession, message: Message, window: Window) -> Page[tuple[User]]:
    """The members except the author who have read up to this message or further."""
    keys = [Key(_MEMBERS.c.user_id)]
    return await page(session, "readers", _join_readers(sa.select(User), message), keys, window)


async def reader_count(session: AsyncSession, message: Message) -> int:
    return await count(session, _join_readers(sa.select(func.count()).select_from(User), message))


def _join_readers(users: "sa.Select[*tuple[Any, ...]]", message: Message) -> "sa.Select[*tuple[Any, ...]]":
    return users.join(_MEMBERS, _MEMBERS.c.user_id == col(User.id)).where(
        _MEMBERS.c.room_id == message.room_id,
        _MEMBERS.c.last_read_seq >= message.seq,
        _MEMBERS.c.user_id.is_distinct_from(message.author_id),
    )
