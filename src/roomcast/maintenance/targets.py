"""The database that is copied to: its state while the copy is not complete, and its indexes and foreign keys.

While rows come in, PostgreSQL has neither secondary indexes nor constraints other than primary keys: rows arrive in any
order, and building an index once takes a fraction of the time. SQLite's foreign keys are switched off.
"""

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from roomcast.core.columns import Id
from roomcast.maintenance.databases import STORE
from roomcast.maintenance.rows import Key, copied_tables, decode_key, encode_key, key_columns

STATE = sa.MetaData()
ORIGIN = sa.Table(
    "copy_origin",
    STATE,
    sa.Column("epoch", Id, primary_key=True),
    sa.Column("indexes", sa.Text, nullable=False),
    sa.Column("foreign_keys", sa.Text, nullable=False),
)
PROGRESS = sa.Table(
    "copy_progress",
    STATE,
    sa.Column("table_name", sa.String(80), primary_key=True),
    sa.Column("last_key", sa.Text),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("is_done", sa.Boolean, nullable=False),
)


class CopyFailed(Exception):
    """The copy cannot go on. The message says why, and what to do."""


@dataclass(slots=True)
class Progress:
    """How far one table has been copied."""

    last_key: Key | None = None
    row_count: int = 0
    is_done: bool = False


async def open_target(connection: AsyncConnection, epoch: Any) -> None:
    """Begin a copy of the source with this epoch, or continue one. Raises CopyFailed if other data is there."""
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(ORIGIN.name)):
        await _begin(connection, epoch)
        return
    found = (await connection.execute(sa.select(ORIGIN.c.epoch))).scalar_one()
    if found != epoch:
        raise CopyFailed("the target holds the unfinished copy of another database: give an empty target")


async def _begin(connection: AsyncConnection, epoch: Any) -> None:
    for table in copied_tables():
        if (await connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1))).first() is not None:
            raise CopyFailed(f"the target is not empty, its table {table.name} has rows: give an empty target")
    await connection.run_sync(STATE.create_all)
    indexes, foreign_keys = await _drop_indexes(connection)
    values = {"epoch": epoch, "indexes": json.dumps(indexes), "foreign_keys": json.dumps(foreign_keys)}
    await connection.execute(sa.insert(ORIGIN).values(values))
    await connection.execute(sa.delete(STORE))


async def progress_of(connection: AsyncConnection, table: sa.Table) -> Progress:
    row = (await connection.execute(sa.select(PROGRESS).where(PROGRESS.c.table_name == table.name))).first()
    if row is None:
        return Progress()
    key = None if row.last_key is None else decode_key(table, row.last_key)
    return Progress(key, row.row_count, row.is_done)


async def save_progress(connection: AsyncConnection, table: sa.Table, reached: Progress) -> None:
    """Store it in the transaction that stores the rows, so that a killed copy continues where it was."""
    await connection.execute(sa.delete(PROGRESS).where(PROGRESS.c.table_name == table.name))
    values = {
        "table_name": table.name,
        "last_key": None if reached.last_key is None else encode_key(reached.last_key),
        "row_count": reached.row_count,
        "is_done": reached.is_done,
    }
    await connection.execute(sa.insert(PROGRESS).values(values))


async def close_target(connection: AsyncConnection) -> None:
    await connection.run_sync(STATE.drop_all)


# ------------------------------------------------------------------ indexes, foreign keys, sequences

CONSTRAINTS = """
SELECT contype::text, conrelid::regclass::text, conname, pg_get_constraintdef(pg_constraint.oid), relkind::text
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE contype IN ('f', 'u') AND conparentid = 0 AND conrelid = ANY (CAST(:tables AS regclass[]))
"""
INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = ANY (CAST(:tables AS regclass[]))
AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


async def _drop_indexes(connection: AsyncConnection) -> tuple[list[str], list[str]]:
    """Drop indexes and constraints. Returns the statements that create them again: indexes, then foreign keys."""
    if connection.dialect.name == "sqlite":
        return [], []
    tables = {"tables": [table.name for table in copied_tables()]}
    indexes, foreign_keys, drops = [], [], []
    for kind, table, name, definition, relation in await connection.execute(sa.text(CONSTRAINTS), tables):
        add = f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'
        if kind == "u":
            indexes.append(add)
        else:  # partitioned tables take no foreign key that is not checked at once
            foreign_keys.append(add if relation == "p" else f"{add} NOT VALID")
        drops.append((kind == "u", f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'))
    for name, definition in await connection.execute(sa.text(INDEXES), tables):
        indexes.append(definition)
        drops.append((True, f"DROP INDEX {name}"))
    for _, statement in sorted(drops):  # a foreign key may need a unique constraint, so it is dropped first
        await connection.execute(sa.text(statement))
    return indexes, foreign_keys


async def create_indexes(connection: AsyncConnection) -> None:
    """Create the indexes that are still missing."""
    for statement in json.loads((await connection.execute(sa.select(ORIGIN.c.indexes))).scalar_one()):
        await connection.exec_driver_sql(statement)
    await connection.execute(sa.update(ORIGIN).values(indexes="[]"))


async def add_foreign_keys(connection: AsyncConnection) -> None:
    """Add the foreign keys for new rows; `check_foreign_keys` checks the copied ones."""
    for statement in json.loads((await connection.execute(sa.select(ORIGIN.c.foreign_keys))).scalar_one()):
        await connection.exec_driver_sql(statement)
    await connection.execute(sa.update(ORIGIN).values(foreign_keys="[]"))


async def check_foreign_keys(connection: AsyncConnection) -> None:
    """Raises an error of the database, or CopyFailed, if a row refers to one that does not exist."""
    if connection.dialect.name == "sqlite":
        broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).mappings().first()
        if broken is not None:
            raise CopyFailed(f"row {broken['rowid']} of {broken['table']} refers to no row of {broken['parent']}")
        return
    query = "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f' AND NOT convalidated"
    for table, name in await connection.execute(sa.text(query)):
        await connection.exec_driver_sql(f'ALTER TABLE {table} VALIDATE CONSTRAINT "{name}"')


async def set_sequences(connection: AsyncConnection) -> None:
    """Let PostgreSQL's sequences continue after the highest copied value."""
    if connection.dialect.name == "sqlite":
        return
    for table in copied_tables():
        for column in key_columns(table):
            name = sa.func.pg_get_serial_sequence(table.name, column.name)
            if (await connection.execute(sa.select(name))).scalar_one() is not None:
                highest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
                await connection.execute(sa.select(sa.func.setval(name, highest, sa.false())))
