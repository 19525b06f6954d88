"""What is unread, and who has read. Counted from the log of messages when asked for, so that it cannot drift."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import User
from roomcast.core.columns import among, table
from roomcast.core.direct_queries import count, fetch
from roomcast.core.event_log import RoomHead
from roomcast.core.paging import Key, Page, Window, page
from roomcast.messages.models import Mention, Message, MessageKind
from roomcast.rooms.models import Membership, Room

CAP = 100
"""Counts are exact up to this."""

_MEMBERS, _MESSAGES, _MENTIONS = table(Membership), table(Message), table(Mention)


@dataclass(frozen=True, slots=True)
class Unread:
    """Others' messages in the room's own talk after what one has read, and those anywhere in it that call one."""

    room_id: UUID
    last_read_seq: int
    unread_count: int
    is_capped: bool
    mention_count: int
    last_seq: int = field(default=0, compare=False)
    """The end of the room's log at that moment, where a list of rooms was asked for."""
    preferences: tuple[Any, ...] = field(default=(), compare=False)
    """What the person prefers for the room, to be compared, where a list of rooms was asked for."""


@dataclass(frozen=True, slots=True)
class Totals:
    unread: int
    mentions: int


def _some(rows: "sa.Select[*tuple[Any, ...]]") -> sa.ScalarSelect[int]:
    """How many rows there are, looking at one more than `CAP` at most."""
    few = rows.limit(CAP + 1).correlate(_MEMBERS).subquery()
    return sa.select(func.count()).select_from(few).scalar_subquery()


def _new() -> sa.ColumnElement[bool]:
    """Others' messages after the mark."""
    return sa.and_(
        _MESSAGES.c.room_id == _MEMBERS.c.room_id,
        _MESSAGES.c.seq > _MEMBERS.c.last_read_seq,
        _MESSAGES.c.author_id.is_distinct_from(_MEMBERS.c.user_id),
    )


_UNREAD = _some(
    sa.select(sa.literal(1).label("one")).where(
        _new(),
        _MESSAGES.c.kind == MessageKind.USER,
        _MESSAGES.c.deleted_at.is_(None),
        _MESSAGES.c.thread_root_id.is_(None),
    )
)
_NAMED = _some(
    sa.select(sa.literal(1).label("one"))
    .join_from(
        _MENTIONS, _MESSAGES, sa.and_(_MESSAGES.c.room_id == _MENTIONS.c.room_id, _MESSAGES.c.seq == _MENTIONS.c.seq)
    )
    .where(
        _MENTIONS.c.user_id == _MEMBERS.c.user_id,
        _MENTIONS.c.room_id == _MEMBERS.c.room_id,
        _MENTIONS.c.seq > _MEMBERS.c.last_read_seq,
        _new(),
    )
)
_CALLED = _some(
    sa.select(sa.literal(1).label("one")).where(
        _new(),
        _MESSAGES.c.mentions_room,
        ~sa.exists()
        .where(_MENTIONS.c.message_id == _MESSAGES.c.id, _MENTIONS.c.user_id == _MEMBERS.c.user_id)
        .correlate(_MESSAGES, _MEMBERS),
    )
)
_COUNTS = sa.select(
    _MEMBERS.c.room_id,
    _MEMBERS.c.user_id,
    _MEMBERS.c.last_read_seq,
    _UNREAD.label("unread"),
    (_NAMED + _CALLED).label("mentions"),
)


async def unread(session: AsyncSession, pairs: Collection[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], Unread]:
    """By (room, user), of memberships. One statement, however many."""
    place = _MEMBERS.c.room_id, _MEMBERS.c.user_id
    rows = await fetch(session, _COUNTS.where(among(place, pairs)))
    return {(row[0], row[1]): _unread(*row) for row in rows}


async def unread_of(session: AsyncSession, user_id: UUID, among: Collection[UUID] | None = None) -> list[Unread]:
    """Of all rooms (or those `among` them) in this person's list: archived ones and direct conversations that others
    have opened and not begun are not in it."""
    rooms, heads = table(Room), table(RoomHead)
    listed = (
        _COUNTS.add_columns(
            heads.c.last_seq, _MEMBERS.c.notification_level, _MEMBERS.c.snoozed_until, _MEMBERS.c.favourite
        )
        .join(rooms, rooms.c.id == _MEMBERS.c.room_id)
        .join(heads, heads.c.room_id == rooms.c.id)
        .where(
            _MEMBERS.c.user_id == user_id,
            rooms.c.archived_at.is_(None),
            sa.or_(rooms.c.direct_key.is_(None), heads.c.last_activity_seq > 0, _MEMBERS.c.opened),
        )
        .order_by(_MEMBERS.c.room_id)
    )
    rows = await fetch(session, listed if among is None else listed.where(_MEMBERS.c.room_id.in_(among)))
    return [_unread(*row) for row in rows]


Fingerprint: TypeAlias = tuple[Any, ...]

_FINGERPRINTS = sa.select(
    _MEMBERS.c.user_id,
    func.count(),
    func.max(_MEMBERS.c.joined_at),
    func.sum(_MEMBERS.c.last_read_seq),
    func.sum(func.length(_MEMBERS.c.notification_level)),
    func.max(_MEMBERS.c.snoozed_until),
    func.count(_MEMBERS.c.snoozed_until),
    func.sum(sa.case((_MEMBERS.c.favourite, 1), else_=0)),
    func.sum(sa.case((_MEMBERS.c.opened, 1), else_=0)),
).group_by(_MEMBERS.c.user_id)


async def fingerprints(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, Fingerprint]:
    """Of all places of each of these people: another one when they have read on, prefer something else, or have come
    into a room or left it. Cheap: it counts no messages. Who is in no room is missing."""
    rows = await fetch(session, _FINGERPRINTS.where(_MEMBERS.c.user_id.in_(user_ids)))
    return {row[0]: tuple(row[1:]) for row in rows}


async def room_ids_of(session: AsyncSession, user_id: UUID) -> list[UUID]:
    """All rooms that this person is in, listed or not."""
    rows = await fetch(session, sa.select(_MEMBERS.c.room_id).where(_MEMBERS.c.user_id == user_id))
    return [room_id for (room_id,) in rows]


async def totals(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, Totals]:
    """What each of these people has waiting in all rooms together."""
    return {user_id: total(await unread_of(session, user_id)) for user_id in user_ids}


def total(rooms: Collection[Unread]) -> Totals:
    """A capped room counts as its cap."""
    return Totals(sum(room.unread_count for room in rooms), sum(room.mention_count for room in rooms))


def _unread(room_id: UUID, _user_id: UUID, mark: int, found: int, mentions: int, *listed: Any) -> Unread:
    last_seq, *preferences = listed or (0,)
    return Unread(room_id, mark, min(found, CAP), found > CAP, min(mentions, CAP), last_seq, tuple(preferences))


# ------------------------------------------------------------------ who has read


async def readers(session: AsyncSession, message: Message, window: Window) -> Page[tuple[User]]:
    """The members besides its author who have read this far."""
    keys = [Key(_MEMBERS.c.user_id)]
    return await page(session, "readers", _read(sa.select(User), message), keys, window)


async def reader_count(session: AsyncSession, message: Message) -> int:
    return await count(session, _read(sa.select(func.count()).select_from(User), message))


def _read(people: "sa.Select[*tuple[Any, ...]]", message: Message) -> "sa.Select[*tuple[Any, ...]]":
    return people.join(_MEMBERS, _MEMBERS.c.user_id == col(User.id)).where(
        _MEMBERS.c.room_id == message.room_id,
        _MEMBERS.c.last_read_seq >= message.seq,
        _MEMBERS.c.user_id.is_distinct_from(message.author_id),
    )
