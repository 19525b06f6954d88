"""Reads of rooms. The load is the permission check: a room is found through the actor's own membership or because it is
public."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, TypeAlias, TypeVarTuple
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import User
from roomcast.core.actor import Actor
from roomcast.core.columns import among, table
from roomcast.core.direct_queries import DirectQuery, DirectRead, count, fetch, fetch_direct_rows
from roomcast.core.errors import NotFound
from roomcast.core.event_log import HeadRecord, RoomHead
from roomcast.core.keyed_reads import KeyedRead, group_pairs, is_key, key_parameters, records_by
from roomcast.core.paging import Key, Page, PagedList, Window
from roomcast.core.records import record_columns
from roomcast.core.text_folding import contains_pattern, fold, is_printable, search_key
from roomcast.rooms.models import (
    Membership,
    MembershipRecord,
    Room,
    RoomKind,
    RoomRecord,
    RoomRole,
    RoomVisibility,
)
from roomcast.rooms.policy import MAX_NAME

UserAndRoom: TypeAlias = tuple[UUID, UUID]
Columns = TypeVarTuple("Columns")

MAX_TAILS_PER_STATEMENT = 128


class RoomOrder(StrEnum):
    LAST_ACTIVITY_DESC = "LAST_ACTIVITY_DESC"
    NAME_ASC = "NAME_ASC"
    CREATED_AT_DESC = "CREATED_AT_DESC"


_ROOM, _HEAD = table(Room).c, table(RoomHead).c
_SORT_KEYS = {
    RoomOrder.LAST_ACTIVITY_DESC: [Key(_HEAD.last_activity_at, descending=True), Key(_ROOM.id, descending=True)],
    RoomOrder.NAME_ASC: [Key(func.coalesce(_ROOM.name_key, "", type_=sa.String)), Key(_ROOM.id)],
    RoomOrder.CREATED_AT_DESC: [Key(_ROOM.created_at, descending=True), Key(_ROOM.id, descending=True)],
}


class RoomMembershipFilter(StrEnum):
    JOINED = "JOINED"
    DISCOVERABLE = "DISCOVERABLE"
    ALL = "ALL"


@dataclass(frozen=True, slots=True)
class RoomFilter:
    """`unread`: a condition on Room, RoomHead and Membership, which refers to ACTOR (`messages.queries.HAS_UNREAD`)."""

    membership: RoomMembershipFilter = RoomMembershipFilter.JOINED
    query: str | None = None
    kind: RoomKind | None = None
    archived: bool = False
    unread: sa.ColumnElement[bool] | None = None


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room as one user sees it. `head` and `room` are from one statement, so they belong together."""

    room: Room
    head: RoomHead
    membership: Membership | None


def _among_readable(selected: "sa.Select[*Columns]", user_id: sa.ColumnElement[UUID]) -> "sa.Select[*Columns]":
    """The rows of a statement over Room that show a room which the user can read, with its head and the user's own
    membership."""
    own = sa.and_(col(Membership.room_id) == Room.id, col(Membership.user_id) == user_id)
    # A direct conversation that another member opened is hidden until its first message.
    is_listed = sa.or_(col(Room.direct_key).is_(None), col(RoomHead.last_activity_seq) > 0, col(Membership.opened))
    is_listed_member = sa.and_(col(Membership.user_id).is_not(None), is_listed)
    return (
        selected.join(RoomHead, col(RoomHead.room_id) == Room.id)
        .outerjoin(Membership, own)
        .where(sa.or_(is_listed_member, col(Room.visibility) == RoomVisibility.PUBLIC))
    )


ACTOR: sa.BindParameter[UUID] = sa.bindparam("actor_id", type_=_ROOM.id.type)
"""The parameter of these statements for the id of the user who reads."""

_READABLE = _among_readable(sa.select(Room, RoomHead, Membership), ACTOR)
_RECORDS = RoomRecord, HeadRecord, MembershipRecord
_READABLE_RECORDS = _READABLE.with_only_columns(
    *record_columns(RoomRecord, Room),
    *record_columns(HeadRecord, RoomHead),
    *record_columns(MembershipRecord, Membership),
    maintain_column_froms=True,
)
_READABLE_BY_ID = _READABLE_RECORDS.where(col(Room.id).in_(sa.bindparam("ids", expanding=True)))


async def readable_room(session: AsyncSession, actor: Actor, room_id: UUID | None) -> RoomView:
    """The room as models, which can be changed, if the actor can read it. Otherwise raises NotFound, exactly as for an
    unknown id."""
    found = (await readable_rooms(session, actor, [room_id])).get(room_id) if room_id else None
    if found is None:
        raise NotFound("There is no such room.")
    return found


async def readable_rooms(session: AsyncSession, actor: Actor, room_ids: Collection[UUID]) -> dict[UUID, RoomView]:
    """By id: those of these rooms that the actor can read, as models."""
    rows = await fetch(session, _READABLE.where(col(Room.id).in_(room_ids)).params(actor_id=actor.user_id))
    return {room.id: RoomView(room, head, membership) for room, head, membership in rows}


async def readable_tails(session: AsyncSession, keys: Sequence[UserAndRoom]) -> dict[UserAndRoom, int]:
    """By (user, room): the last seq of the room's log, if the user can read the room."""
    found: dict[UserAndRoom, int] = {}
    for start in range(0, len(keys), MAX_TAILS_PER_STATEMENT):
        chosen = list(keys[start : start + MAX_TAILS_PER_STATEMENT])
        size = 1 << (len(chosen) - 1).bit_length()  # few sizes, so that few statements are compiled
        padded = chosen + chosen[-1:] * (size - len(chosen))
        users = {f"user{number}": user_id for number, (user_id, _) in enumerate(padded)}
        room_ids = {f"room{number}": room_id for number, (_, room_id) in enumerate(padded)}
        query = DirectQuery[Any](_readable_tails_query(size), users | room_ids)
        rows = await fetch_direct_rows(session, query)
        found.update(((user_id, room_id), tail) for user_id, room_id, tail in rows)
    return found


@cache
def _readable_tails_query(size: int) -> "sa.Select[UUID, UUID, int]":
    pairs = [
        (sa.bindparam(f"user{number}", type_=_ROOM.id.type), sa.bindparam(f"room{number}", type_=_ROOM.id.type))
        for number in range(size)
    ]
    asked = sa.values(sa.column("user_id", _ROOM.id.type), sa.column("room_id", _ROOM.id.type), name="asked")
    of = asked.data(pairs).cte("asked").c
    selected = sa.select(of.user_id, of.room_id, col(RoomHead.last_seq)).join(Room, _ROOM.id == of.room_id)
    return _among_readable(selected, of.user_id)


def rooms_read(actor: Actor, room_ids: Collection[UUID]) -> DirectRead[dict[UUID, RoomView]]:
    """A read of those of these rooms that the actor can read, by id."""
    query = DirectQuery[Any](_READABLE_BY_ID, {"ids": list(room_ids), "actor_id": actor.user_id}, _RECORDS)
    return DirectRead([query], lambda rows: {row[0].id: RoomView(*row) for row in rows})


def room_read(actor: Actor, room_id: UUID | None) -> DirectRead[RoomView]:
    """A read of the room, if the actor can read it. Otherwise it raises NotFound, exactly as for an unknown id."""
    found = rooms_read(actor, [room_id] if room_id else [])

    def finish(rows: Sequence[Any]) -> RoomView:
        if not rows:
            raise NotFound("There is no such room.")
        return RoomView(*rows[0])

    return DirectRead(found.queries, finish)


async def public_room_by_name(session: AsyncSession, actor: Actor, name: str) -> RoomView:
    """The public room whose name equals this one, without regard to case and look-alikes. Raises NotFound, also for the
    name of a private room that the actor is a member of."""
    tidy = " ".join(name.split())
    key = fold(tidy) if len(tidy) <= MAX_NAME and is_printable(name) else ""
    # Private rooms have no such key, so their names are never compared.
    named = _READABLE.where(col(Room.public_name_key) == key).params(actor_id=actor.user_id)
    found = await fetch(session, named) if key else ()
    if not found:
        raise NotFound("There is no such room.")
    room, head, membership = found[0]
    return RoomView(room, head, membership)


def room_list_read(
    actor: Actor, filter_: RoomFilter, order: RoomOrder, window: Window
) -> DirectRead[Page[tuple[Room, RoomHead, Membership | None]]]:
    """A read of a page of rooms, each with its head and the actor's own membership."""
    shape, parameters = _shape(actor, filter_)
    return _room_list(shape, order).page(window, parameters)


async def room_count(session: AsyncSession, actor: Actor, filter_: RoomFilter) -> int:
    shape, parameters = _shape(actor, filter_)
    counted = _filtered(shape).with_only_columns(func.count(), maintain_column_froms=True)
    return await count(session, counted.params(parameters))


def _shape(actor: Actor, filter_: RoomFilter) -> tuple[RoomFilter, dict[str, Any]]:
    """The filter without its values, which are the parameters: filters of the same shape have the same statement."""
    parameters: dict[str, Any] = {"actor_id": actor.user_id}
    query = None
    if filter_.kind is not None:
        parameters["kind"] = filter_.kind
    if filter_.query is not None and filter_.query.strip():
        key = search_key(filter_.query, "query")
        query = "" if not key or "\0" in key else "name"
        if query:
            parameters["name"] = contains_pattern(key)
    return replace(filter_, query=query, kind=None if filter_.kind is None else RoomKind.CHANNEL), parameters


@lru_cache(maxsize=100)
def _room_list(shape: RoomFilter, order: RoomOrder) -> PagedList:
    return PagedList(f"rooms:{order}", _filtered(shape), _SORT_KEYS[order], _RECORDS)


def _filtered(shape: RoomFilter) -> "sa.Select[*tuple[Any, ...]]":
    """`shape`: a filter without values, see `_shape`."""
    archived = col(Room.archived_at).is_not(None)
    matching = _READABLE_RECORDS.where(archived if shape.archived else sa.not_(archived))
    if shape.membership is RoomMembershipFilter.JOINED:  # compared with a value, so that an index finds the rows
        matching = matching.where(col(Membership.user_id) == ACTOR)
    elif shape.membership is RoomMembershipFilter.DISCOVERABLE:  # the directory never shows archived rooms
        matching = matching.where(sa.false() if shape.archived else col(Membership.user_id).is_(None))
    if shape.kind is not None:
        matching = matching.where(col(Room.kind) == sa.bindparam("kind"))
    if shape.unread is not None:
        matching = matching.where(shape.unread)
    if shape.query is not None:
        matching = matching.where(_has_name() if shape.query else sa.false())
    return matching


def _has_name() -> sa.ColumnElement[bool]:
    """Rooms with the text of the parameter `name` in their name, without regard to case and accents. A direct
    conversation matches by the names of its other members."""
    pattern = sa.bindparam("name", type_=sa.String)
    other = sa.orm.aliased(Membership)
    peers = (
        select(other.room_id)
        .join(User, col(User.id) == other.user_id)
        .where(other.room_id == Room.id, other.user_id != ACTOR)
        .where(col(User.search_key).like(pattern, escape="/"))
    )
    direct = sa.and_(col(Room.kind) == RoomKind.DIRECT, peers.exists())
    return sa.or_(col(Room.name_key).like(pattern, escape="/"), direct)


_MEMBERS = sa.select(*record_columns(MembershipRecord, Membership)).where(
    col(Membership.room_id) == sa.bindparam("room_id")
)
_MEMBER_LIST, _MEMBER_LIST_BY_ROLE = [
    PagedList(
        "members", each, [Key(table(Membership).c.joined_at), Key(table(Membership).c.user_id)], (MembershipRecord,)
    )
    for each in (_MEMBERS, _MEMBERS.where(col(Membership.role) == sa.bindparam("role")))
]


def members_read(room_id: UUID, role: RoomRole | None, window: Window) -> DirectRead[Page[tuple[Membership]]]:
    """A read of the members of a room, by the time they joined. The caller has checked that the actor can read the
    room."""
    if role is None:
        return _MEMBER_LIST.page(window, {"room_id": room_id})
    return _MEMBER_LIST_BY_ROLE.page(window, {"room_id": room_id, "role": role})


async def member_count(session: AsyncSession, room_id: UUID, role: RoomRole | None) -> int:
    counted = sa.select(func.count()).select_from(Membership).where(col(Membership.room_id) == room_id)
    return await count(session, counted if role is None else counted.where(col(Membership.role) == role))


_DIRECT_MEMBERS = (
    sa.select(table(Membership).c.room_id, table(Membership).c.user_id)
    .where(is_key([table(Membership).c.room_id]))
    .order_by(table(Membership).c.joined_at, table(Membership).c.user_id)
)
direct_member_ids: KeyedRead[UUID, list[UUID]] = KeyedRead(
    lambda room_ids: DirectQuery(_DIRECT_MEMBERS, key_parameters(room_ids)), group_pairs
)
"""By room id: the members in the order they joined. For direct conversations only, which are small."""

rooms_by_id: KeyedRead[UUID, Room] = records_by(Room, RoomRecord, "id")
memberships_by_key: KeyedRead[tuple[UUID, UUID], Membership] = records_by(
    Membership, MembershipRecord, "room_id", "user_id"
)
"""By (room, user)."""


async def memberships(
    session: AsyncSession, pairs: Collection[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], Membership]:
    """By (room, user), as models, which can be changed."""
    rows = await session.exec(
        select(Membership).where(among((col(Membership.room_id), col(Membership.user_id)), pairs))
    )
    return {(row.room_id, row.user_id): row for row in rows}


async def owner_count(session: AsyncSession, room_id: UUID) -> int:
    return await member_count(session, room_id, RoomRole.OWNER)


async def users_who_can_read(session: AsyncSession, room_id: UUID, user_ids: Collection[UUID]) -> set[UUID]:
    """Which of these users can read the room now. Open streams are checked with it."""
    room = await session.get(Room, room_id)
    if room is None:
        return set()
    if room.visibility == RoomVisibility.PUBLIC:
        return set(user_ids)
    rows = await session.exec(
        select(Membership.user_id).where(Membership.room_id == room_id, col(Membership.user_id).in_(user_ids))
    )
    return set(rows)
