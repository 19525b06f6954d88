"""Rows of any table: read in batches in key order, convert to another database, written in bulk, hashed."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from roomcast.maintenance.databases import STORE
from roomcast.tables import metadata

BATCH_ROWS = 10_000
KEYS_PER_STATEMENT = 1_000

Key = tuple[Any, ...]
Rows = Sequence[Sequence[Any]]
Connect = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


def copied_tables() -> list[sa.Table]:
    """All tables but `store`, which is written last: without it no server starts."""
    return [each for each in metadata.sorted_tables if each.name != STORE.name]


def key_columns(table: sa.Table) -> list[sa.Column[Any]]:
    return list(table.primary_key.columns)


def keys_of(table: sa.Table, rows: Rows) -> list[Key]:
    places = [list(table.columns).index(column) for column in key_columns(table)]
    return [tuple(row[place] for place in places) for row in rows]


def encode_key(key: Key) -> str:
    return json.dumps([str(part) if isinstance(part, UUID) else part for part in key])


def decode_key(table: sa.Table, text: str) -> Key:
    """Reads what `encode_key` and the triggers of `changes` write."""
    columns = key_columns(table)
    return tuple(
        UUID(part) if isinstance(column.type, sa.Uuid) else part
        for column, part in zip(columns, json.loads(text), strict=True)
    )


# ------------------------------------------------------------------ reading


async def read_batches(connect: Connect, table: sa.Table, after: Key | None = None) -> AsyncIterator[Rows]:
    """All rows in the order of their keys, those after `after`."""
    while rows := await _read_batch(connect, table, after):
        yield rows
        after = keys_of(table, rows[-1:])[0]


async def _read_batch(connect: Connect, table: sa.Table, after: Key | None) -> Rows:
    columns = key_columns(table)
    wanted = sa.select(table).order_by(*columns).limit(BATCH_ROWS)
    if after is not None:
        last = sa.tuple_(*(sa.literal(part, column.type) for part, column in zip(after, columns, strict=True)))
        wanted = wanted.where(sa.tuple_(*columns) > last)
    async with connect() as connection:
        return (await connection.execute(wanted)).all()


async def read_rows(connection: AsyncConnection, table: sa.Table, keys: Sequence[Key]) -> Rows:
    """The rows with these keys that exist."""
    found: list[Sequence[Any]] = []
    for start in range(0, len(keys), KEYS_PER_STATEMENT):
        some = keys[start : start + KEYS_PER_STATEMENT]
        found += (await connection.execute(sa.select(table).where(_has_key(table, some)))).all()
    return found


async def delete_rows(connection: AsyncConnection, table: sa.Table, keys: Sequence[Key]) -> None:
    for start in range(0, len(keys), KEYS_PER_STATEMENT):
        await connection.execute(sa.delete(table).where(_has_key(table, keys[start : start + KEYS_PER_STATEMENT])))


def _has_key(table: sa.Table, keys: Sequence[Key]) -> sa.ColumnElement[bool]:
    columns = key_columns(table)
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    # SQLite uses no index for a list of tuples, but one for the first column.
    return sa.and_(columns[0].in_({key[0] for key in keys}), sa.tuple_(*columns).in_(keys))


# ------------------------------------------------------------------ writing


async def write_rows(connection: AsyncConnection, table: sa.Table, rows: Rows) -> None:
    """Insert rows, over the driver itself: SQLAlchemy would take several times as long.

    On SQLite a row replaces those that have one of its unique values: they have changed in the source since they were
    copied, so they will be copied again.
    """
    await connection.execute(sa.select(1))  # begins the transaction
    driver: Any = (await connection.get_raw_connection()).driver_connection
    names = [column.name for column in table.columns]
    records = convert(rows, [_writer(column, connection.dialect) for column in table.columns])
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        await driver.executemany(
            f'INSERT OR REPLACE INTO "{table.name}" ({", ".join(names)}) VALUES ({marks})',  # noqa: S608
            list(records),
        )
    else:
        await driver.copy_records_to_table(table.name, records=list(records), columns=names)


def _writer(column: sa.Column[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    return column.type.dialect_impl(dialect).bind_processor(dialect)


def convert(rows: Rows, processors: Sequence[Callable[[Any], Any] | None]) -> Iterable[tuple[Any, ...]]:
    """The rows with a function applied to each column."""
    if not rows:
        return []
    columns = zip(*rows, strict=True)
    done = [map(convert, column) if convert else column for column, convert in zip(columns, processors, strict=True)]
    return zip(*done, strict=True)


# ------------------------------------------------------------------ checksums

Sums = dict[tuple[str, str], tuple[int, int]]
"""Table and room (empty for tables without rooms) → number of rows, sum of the hashes of the rows modulo 2^64.

Python's own 64-bit hashes, with a random seed: both sides are hashed in one process, and `hashlib` takes twice as long.
"""


async def checksums(connect: Connect, on_rows: Callable[[int], None] = lambda count: None) -> Sums:
    """The checksums of all tables. They are equal if the rows are, on both kinds of databases."""
    sums: Sums = {}
    for table in copied_tables():
        async for rows in read_batches(connect, table):
            add_to_sums(sums, table, rows)
            on_rows(len(rows))
    return sums


def add_to_sums(sums: Sums, table: sa.Table, rows: Rows) -> None:
    names = [column.name for column in table.columns]
    room = names.index("room_id") if "room_id" in names else None
    for row in convert(rows, [_canonical(column) for column in table.columns]):
        place = (table.name, "" if room is None else str(row[room]))
        count, total = sums.get(place, (0, 0))
        sums[place] = (count + 1, (total + hash(row)) % 2**64)


def _canonical(column: sa.Column[Any]) -> Callable[[Any], Any] | None:
    return partial(json.dumps, sort_keys=True) if isinstance(column.type, sa.JSON) else None
