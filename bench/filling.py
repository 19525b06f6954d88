"""Fills rooms with messages in seconds: INSERT … SELECT statements create the same rows as sends do.

The search index is only filled for messages that searches are to find: nothing else reads it, and it takes most of the
time.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.db import Database
from roomcast.core.event_log import LogEntry, RoomHead, lock_heads
from roomcast.core.ids import Kind, local_id
from roomcast.messages.events import MessageCreated
from roomcast.messages.models import Message, MessageKind, MessageText
from roomcast.rooms.read_state import advance_read_positions

MESSAGES_PER_TRANSACTION = 100_000
"""Messages in one transaction."""

RARE, SHORT_WORD, LONG_WORD = 10_000, "会議", "unforgettable"
"""One message in RARE has these words."""


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    db = Database(url)
    try:
        yield db
    finally:
        await db.close()


def row_id(kind: Kind, public_id: str) -> UUID:
    """The id in the database of the object that has this id in the API."""
    found = local_id(kind, public_id)
    assert found is not None, public_id
    return found


async def fill(db: Database, room_id: UUID, author_id: UUID, messages: int, *, findable: bool = False) -> None:
    """Append messages to the room's log. `findable`: add them to the search index."""
    for start in range(0, messages, MESSAGES_PER_TRANSACTION):
        async with db.work() as work:
            [head] = (await lock_heads(work.session, [room_id])).values()
            first, last = head.last_seq + 1, head.last_seq + min(MESSAGES_PER_TRANSACTION, messages - start)
            await _insert_messages(work.session, room_id, author_id, first, last)
            if findable:
                await _insert_texts(work.session, room_id, first)
            await advance_read_positions(work, {(room_id, author_id): last})
            await work.session.exec(
                sa.update(table(RoomHead))
                .where(table(RoomHead).c.room_id == room_id)
                .values(last_seq=last, last_activity_seq=last, last_activity_at=now())
            )


async def analyze(db: Database) -> None:
    """Update the planner statistics, as PostgreSQL's autovacuum does within a minute. SQLite has nothing like it."""
    if not db.is_sqlite:
        async with db.work() as work:
            await (await work.session.connection()).execute(sa.text("ANALYZE"))


async def _insert_messages(session: AsyncSession, room_id: UUID, author_id: UUID, first: int, last: int) -> None:
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    seq = _number_series(first, last).c.seq
    chance = _hexadecimal(seq * 2_654_435_761 % 2**40, is_sqlite)
    rare = sa.case((seq % RARE == 0, f"{SHORT_WORD} {LONG_WORD}"), else_="")
    name = sa.literal(f"{str(room_id)[-8:]}-0000-7000-8000-") + _hexadecimal(seq, is_sqlite)
    message = {
        "room_id": room_id,
        "seq": seq,
        "id": func.replace(name, "-", "") if is_sqlite else sa.cast(name, sa.Uuid),
        "author_id": author_id,
        "kind": MessageKind.USER,
        "body": sa.literal("The quick brown fox jumps over the lazy dog, ") + chance + " times. " + rare,
        "content_digest": "0" * 64,
        "created_at": now(),
        "revision": 1,
    }
    facts = (func.json_object if is_sqlite else func.jsonb_build_object)("message_id", name)
    event = {"room_id": room_id, "seq": seq, "kind": MessageCreated.kind, "at": now(), "data": facts}
    await _insert(session, Message, message)
    await _insert(session, LogEntry, event)


async def _insert_texts(session: AsyncSession, room_id: UUID, first: int) -> None:
    messages, texts = table(Message), table(MessageText)
    found = sa.select(messages.c.id, func.lower(messages.c.body)).where(
        messages.c.room_id == room_id, messages.c.seq >= first
    )
    await session.exec(sa.insert(texts).from_select(["message_id", "text"], found.order_by(messages.c.seq)))


def _number_series(first: int, last: int) -> sa.CTE:
    start = sa.select(sa.literal(first, sa.BigInteger).label("seq")).cte("numbers", recursive=True)
    return start.union_all(sa.select(start.c.seq + 1).where(start.c.seq < last))


def _hexadecimal(number: sa.ColumnElement[int], is_sqlite: bool) -> sa.ColumnElement[str]:
    return func.printf("%012x", number) if is_sqlite else func.lpad(func.to_hex(number), 12, "0")


async def _insert(session: AsyncSession, model: type[SQLModel], row: Mapping[str, Any]) -> None:
    """Insert one row per number of the series that the expressions of `row` refer to."""
    columns = table(model).c
    values = [
        value if isinstance(value, sa.ColumnElement) else sa.literal(value, columns[name].type)
        for name, value in row.items()
    ]
    await session.exec(sa.insert(table(model)).from_select(list(row), sa.select(*values)))
