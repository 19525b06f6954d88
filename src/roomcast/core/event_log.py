"""The event log: one gap-free sequence of events for each room, written in the transaction of the change itself.

A transaction locks the room's head row until its commit, so the order of commits is the order of `seq`: a reader that
has read up to `seq` n never misses an event with a lower `seq` that is committed later. A cursor over serial ids or
timestamps cannot guarantee that (hasura/graphql-engine#8632).
"""

import base64
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.clock import now
from roomcast.core.columns import JSON, IdField, SeqField, TextField, TimeField, table
from roomcast.core.direct_queries import DirectQuery, execute_direct, fetch_direct_rows
from roomcast.core.errors import BadUserInput
from roomcast.core.events import Event, from_facts
from roomcast.core.ids import uuid7
from roomcast.core.keyed_reads import KeyedRead, is_key, key_parameters, records_by
from roomcast.core.records import record_type

E = TypeVar("E", bound=Event)


class RoomHead(SQLModel, table=True):
    """The last seq of one room's log. Its row lock puts the changes of the room in order; rooms do not wait for each
    other."""

    __tablename__ = "room_heads"
    room_id: UUID = IdField(primary_key=True)
    last_seq: int = SeqField()
    last_activity_seq: int = SeqField()
    last_activity_at: datetime = TimeField()


HeadRecord = record_type(RoomHead)


class HeadRow(Protocol):
    """A row of a direct query over room heads. It cannot be written."""

    @property
    def room_id(self) -> UUID: ...

    @property
    def last_seq(self) -> int: ...

    @property
    def last_activity_seq(self) -> int: ...

    @property
    def last_activity_at(self) -> datetime: ...


class LogEntry(SQLModel, table=True):
    """One event: ids and small values, never the text of a message. A replay shows messages as they are now."""

    __tablename__ = "room_events"
    room_id: UUID = IdField(primary_key=True)
    seq: int = SeqField(primary_key=True)
    kind: str = Field(max_length=40)
    at: datetime = TimeField()
    data: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class Store(SQLModel, table=True):
    """One row with the epoch of the data. A restore from a backup starts a new epoch.

    `timeline`: PostgreSQL's timeline when the epoch began. None with SQLite, and until a server has started.
    `installation_id`: also stored beside the uploads, so that no other database deletes them; None until a server has
    started. `deletions_held_until`: stored bytes of files are not deleted before, because a backup is reading them.
    `moved_to`: the database that this one was copied to; no server may use this one any more.
    """

    __tablename__ = "store"
    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    epoch: UUID = IdField(default_factory=uuid7)
    timeline: int | None = None
    installation_id: UUID | None = IdField(default=None, nullable=True)
    deletions_held_until: datetime | None = TimeField(default=None, nullable=True)
    moved_to: str | None = TextField(default=None, nullable=True)


async def open_log(session: AsyncSession, room_id: UUID, at: datetime) -> None:
    """Create the head of a new room, at seq 0."""
    session.add(RoomHead(room_id=room_id, last_activity_at=at))
    await session.flush()


@dataclass(slots=True)
class LockedHead:
    """A head whose row this transaction has locked until its commit, so that it may assign the room's next seq."""

    room_id: UUID
    last_seq: int
    last_activity_seq: int
    last_activity_at: datetime


_HEADS = table(RoomHead)
_SELECT_HEADS = (
    sa.select(_HEADS.c.room_id, _HEADS.c.last_seq, _HEADS.c.last_activity_seq, _HEADS.c.last_activity_at)
    .where(_HEADS.c.room_id.in_(sa.bindparam("room_ids", expanding=True)))
    .order_by(_HEADS.c.room_id)
)
_LOCK, _LOCK_FREE = _SELECT_HEADS.with_for_update(), _SELECT_HEADS.with_for_update(skip_locked=True)
_UPDATE_HEAD = (
    sa.update(_HEADS)
    .where(_HEADS.c.room_id == sa.bindparam("head"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("last_seq", "last_activity_seq", "last_activity_at")})
)

_APPEND = sa.insert(table(LogEntry))


def heads_lock_query(room_ids: Collection[UUID], *, skip_locked: bool = False) -> DirectQuery[HeadRow]:
    """Selects the heads of these rooms and locks them until the commit, in the order of their ids to avoid deadlocks.
    Pass the rows to `remember_locked_heads`. `skip_locked` leaves out heads that other transactions have locked
    (PostgreSQL; SQLite locks the whole file)."""
    return DirectQuery(_LOCK_FREE if skip_locked else _LOCK, {"room_ids": list(room_ids)})


def remember_locked_heads(session: AsyncSession, rows: Sequence[HeadRow]) -> None:
    """Keep the heads that this transaction has locked, so that `lock_heads` does not select them again."""
    heads = _locked_heads(session)
    for row in rows:
        heads[row.room_id] = LockedHead(row.room_id, row.last_seq, row.last_activity_seq, row.last_activity_at)


async def lock_heads(session: AsyncSession, room_ids: Collection[UUID]) -> dict[UUID, LockedHead]:
    """The heads of these rooms, locked until the commit. Rooms without a head are left out."""
    heads = _locked_heads(session)
    if missing := [room_id for room_id in room_ids if room_id not in heads]:
        remember_locked_heads(session, await fetch_direct_rows(session, heads_lock_query(missing)))
    return {room_id: heads[room_id] for room_id in room_ids if room_id in heads}


def _locked_heads(session: AsyncSession) -> dict[UUID, LockedHead]:
    found: dict[UUID, LockedHead] = session.info.setdefault("heads", {})
    return found


async def append(session: AsyncSession, events: Sequence[E]) -> list[E]:
    """Assign each event the next seq of its room and store it, in the given order. Locks the heads of the rooms."""
    heads = await lock_heads(session, {event.room_id for event in events})
    numbered = [_number(heads[event.room_id], event) for event in events]
    changes = [
        {
            "head": head.room_id,
            "new_last_seq": head.last_seq,
            "new_last_activity_seq": head.last_activity_seq,
            "new_last_activity_at": head.last_activity_at,
        }
        for head in heads.values()
    ]
    await execute_direct(session, _UPDATE_HEAD, changes)
    rows = [{"room_id": e.room_id, "seq": e.seq, "kind": e.kind, "at": e.at, "data": e.facts()} for e in numbered]
    await execute_direct(session, _APPEND, rows)
    return numbered


async def delete_log(session: AsyncSession, room_id: UUID) -> int:
    """Delete the head and all log entries of a room. Returns its last seq, 0 if it had no head."""
    heads = await lock_heads(session, [room_id])
    await session.exec(sa.delete(LogEntry).where(col(LogEntry.room_id) == room_id))
    await session.exec(sa.delete(RoomHead).where(col(RoomHead.room_id) == room_id))
    return heads[room_id].last_seq if heads else 0


def _number(head: LockedHead, event: E) -> E:
    head.last_seq += 1
    if event.moves_activity:
        head.last_activity_seq = head.last_seq
        head.last_activity_at = event.at
    return event.at_seq(head.last_seq)


_ENTRIES = table(LogEntry).c
_EVENTS_AFTER = (
    sa.select(table(LogEntry))
    .where(_ENTRIES.room_id == sa.bindparam("room"), _ENTRIES.seq > sa.bindparam("after"))
    .order_by(_ENTRIES.seq)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


async def events_after(session: AsyncSession, room_id: UUID, seq: int, limit: int) -> list[Event]:
    """The room's events above `seq`, oldest first, at most `limit` of them."""
    query = DirectQuery[LogEntry](_EVENTS_AFTER, {"room": room_id, "after": seq, "most": limit})
    return [from_facts(e.kind, e.room_id, e.seq, e.at, e.data) for e in await fetch_direct_rows(session, query)]


heads_by_id: KeyedRead[UUID, RoomHead] = records_by(RoomHead, HeadRecord, "room_id")
"""By room id."""


_TAILS = sa.select(_HEADS.c.room_id, _HEADS.c.last_seq).where(is_key([_HEADS.c.room_id]))


async def tails(session: AsyncSession, room_ids: Collection[UUID]) -> Mapping[UUID, int]:
    """The `last_seq` of each of these rooms that exists."""
    return dict(await fetch_direct_rows(session, DirectQuery[Any](_TAILS, key_parameters(room_ids))))


async def epoch(session: AsyncSession) -> UUID:
    """The current epoch. Every cursor contains it."""
    return (await session.exec(select(Store.epoch))).one()


async def epoch_and_timeline(session: AsyncSession) -> tuple[UUID, int | None]:
    """The current epoch, and the timeline in which it began."""
    return (await session.exec(select(Store.epoch, Store.timeline))).one()


async def timeline(session: AsyncSession) -> int | None:
    """PostgreSQL's present timeline: each promotion of a standby and each point-in-time recovery begins another. None
    with SQLite."""
    if session.get_bind().dialect.name == "sqlite":
        return None
    # The name of a WAL file begins with the timeline. `pg_control_checkpoint` tells it only after the next checkpoint.
    statement = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
    return int((await (await session.connection()).execute(sa.text(statement))).scalar_one())


async def record_timeline(session: AsyncSession, present: int) -> None:
    """Store this timeline as that of the epoch, if none is stored."""
    await session.exec(sa.update(Store).where(col(Store.timeline).is_(None)).values(timeline=present))


async def installation_id(session: AsyncSession) -> UUID | None:
    """The id of the installation. None until a server has started on this database."""
    return (await session.exec(select(Store.installation_id))).one()


async def set_installation_id(session: AsyncSession, chosen: UUID) -> UUID:
    """Store this id unless another process has stored one. Returns the stored one."""
    await session.exec(sa.update(Store).where(col(Store.installation_id).is_(None)).values(installation_id=chosen))
    return (await session.exec(select(Store.installation_id))).one() or chosen


async def deletions_are_held(session: AsyncSession) -> bool:
    """Whether no stored bytes of files may be deleted now: a backup is reading them, or the installation has moved and
    another database knows what is used."""
    until, moved_to = (await session.exec(select(Store.deletions_held_until, Store.moved_to))).one()
    return moved_to is not None or (until is not None and until > now())


async def prove_writable(session: AsyncSession) -> None:
    """Do a write that changes no data and has to be committed. It waits neither for locks of messages nor for other
    processes that do the same: on PostgreSQL it takes a shared row lock, which is a write as well.

    Raises an error if the installation has moved to another database."""
    if session.get_bind().dialect.name == "sqlite":
        await session.exec(sa.update(Store).values(id=Store.id))
    else:
        here = select(Store.id).where(col(Store.moved_to).is_(None))
        (await session.exec(here.with_for_update(read=True, key_share=True))).one()


async def prove_space(session: AsyncSession) -> None:
    """Make PostgreSQL write a megabyte, which it drops at the commit. `prove_writable` changes rows in place, which
    succeeds on a full disk."""
    rows = "SELECT repeat('x', 1000) AS filler FROM generate_series(1, 1000)"
    connection = await session.connection()
    await connection.exec_driver_sql(f"CREATE TEMPORARY TABLE space_probe ON COMMIT DROP AS {rows}")


async def begin_epoch(session: AsyncSession, after: Collection[UUID] | None = None) -> None:
    """Start a new epoch, which makes all existing cursors invalid: the log may continue differently from what clients
    have seen. `after`: only if the current epoch is one of these."""
    statement = sa.update(Store).values(epoch=uuid7(), timeline=None)
    await session.exec(statement if after is None else statement.where(col(Store.epoch).in_(after)))


# ------------------------------------------------------------------ cursors


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a room's log. Clients get it as an opaque cursor."""

    epoch: UUID
    room_id: UUID
    seq: int

    def encode(self) -> str:
        packed = b"\x01" + self.epoch.bytes[-8:] + self.room_id.bytes + struct.pack(">Q", self.seq)
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Cursor:
    """A cursor that a client sent, parsed but not yet checked against the current epoch."""

    epoch_mark: bytes
    room_id: UUID
    seq: int

    def belongs_to(self, epoch: UUID) -> bool:
        """Whether the cursor was made in this epoch."""
        return self.epoch_mark == epoch.bytes[-8:]


def parse_cursor(text: str) -> Cursor:
    """Raises BadUserInput for anything that `Position.encode` did not make."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, mark, room, seq = struct.unpack(">B8s16sQ", packed)
    except (ValueError, struct.error):
        raise BadUserInput("This is not a stream cursor.") from None
    if version != 1:
        raise BadUserInput("This is not a stream cursor.")
    return Cursor(mark, UUID(bytes=room), seq)
