"""Connections for work that may take hours: without the time limits of the server's connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from roomcast.core import sqlite
from roomcast.core.columns import table
from roomcast.core.engines import driver_url
from roomcast.core.event_log import Store

STORE = table(Store)
BUSY_MS = 60_000
"""How long a statement waits for another process that writes to the SQLite file."""


@asynccontextmanager
async def engine(url: str, pragmas: tuple[str, ...] = ()) -> AsyncIterator[AsyncEngine]:
    """An engine that opens a connection for each use. `pragmas`: further ones for SQLite."""
    made = create_async_engine(driver_url(url), poolclass=NullPool, hide_parameters=True)
    if made.dialect.name == "sqlite":
        event.listen(made.sync_engine, "connect", lambda connection, _: _set_up(connection, pragmas))
        event.listen(made.sync_engine, "begin", _begin)
    try:
        yield made
    finally:
        await made.dispose()


def for_writing(source: AsyncEngine) -> AsyncEngine:
    """The same engine with transactions that may read before they write. On SQLite they take the write lock first: one
    that has read can no longer write once another process has."""
    return source.execution_options(sqlite_begin="BEGIN IMMEDIATE")


@asynccontextmanager
async def snapshot(source: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection whose reads all see the state of one moment."""
    async with source.connect() as connection:
        if not is_sqlite(source):
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield connection


def is_sqlite(engine: AsyncEngine) -> bool:
    return engine.dialect.name == "sqlite"


def sqlite_path(url: str) -> Path:
    return Path(driver_url(url).database or "")


async def schema(connection: AsyncConnection) -> str | None:
    """The schema of PostgreSQL that has the tables."""
    if connection.dialect.name == "sqlite":
        return None
    return str((await connection.execute(sa.select(sa.func.current_schema()))).scalar_one())


async def has_tables(connection: AsyncConnection) -> bool:
    return bool(await connection.run_sync(lambda sync: sa.inspect(sync).has_table(STORE.name)))


async def other_connections(connection: AsyncConnection) -> int:
    """The number of other connections to this PostgreSQL database."""
    return int((await connection.execute(sa.text(_OTHERS))).scalar_one())


_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"
)


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def _set_up(connection: Any, pragmas: tuple[str, ...]) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    sqlite.add_functions(connection)
    for pragma in (f"busy_timeout={BUSY_MS}", *pragmas):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
