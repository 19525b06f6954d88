"""SQLAlchemy engines for SQLite and PostgreSQL, and a guard for their connection pools.

SQLite has one connection that writes, with BEGIN IMMEDIATE, and several that cannot write. With SQLAlchemy's default
transaction mode, updates were lost without an error (a counter stood at 385 after 4,928 commits).
"""

import logging
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from threading import Thread
from typing import Any, cast
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from roomcast.core import postgres, sqlite
from roomcast.core.metrics import DATABASE
from roomcast.database_urls import PostgresUrl, read_postgres_url

logger = logging.getLogger("roomcast.db")

APPLICATION_NAME = f"roomcast/{version('roomcast')}"
"""Of the sessions in PostgreSQL. It tells which releases are running."""

POOL_SECONDS = 30
"""The longest wait for a connection from the pool."""

CONNECT_SECONDS, STATEMENT_SECONDS = 5, 20
"""How long PostgreSQL may take to accept a connection, and to answer one statement."""


DEFAULT_POOL_SIZE = 15
"""Connections of one process to PostgreSQL, where ROOMCAST_DATABASE_POOL_SIZE does not say otherwise."""


class WatchedPool(AsyncAdaptedQueuePool):
    """A pool that counts who waits for a connection."""

    waiting = 0
    """Tasks that wait now."""
    waits = 0
    """Tasks that had to wait."""

    def _do_get(self) -> ConnectionPoolEntry:
        has_to_wait = self.checkedout() >= self.size()  # there is no overflow
        self.waiting += has_to_wait
        self.waits += has_to_wait
        try:
            return super()._do_get()
        finally:
            self.waiting -= has_to_wait


def driver_url(url: str) -> sa.URL:
    """An address `postgresql://` or `sqlite:///` with our driver in it, and without parameters."""
    target = sa.make_url(url)
    name = "sqlite+aiosqlite" if target.get_backend_name() == "sqlite" else "postgresql+asyncpg"
    return target.set(drivername=name, query={})


def postgres_engine(url: str, pool_size: int = DEFAULT_POOL_SIZE) -> AsyncEngine:
    address = read_postgres_url(url)
    return create_async_engine(
        "postgresql+asyncpg://",
        poolclass=WatchedPool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_recycle=1800,
        pool_reset_on_return=None,  # each session ends its own transaction
        hide_parameters=True,  # errors are logged, and parameters contain messages and secrets
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": STATEMENT_SECONDS,
            **driver_options(address),
            "async_creator_fn": partial(postgres.connect, is_pooled=address.is_pooled),
        },
    )


def driver_options(address: PostgresUrl) -> dict[str, Any]:
    """The `connect_args` of an engine for this address.

    Behind a pooler no statement has a name: the next transaction may run on another connection of the database, where
    the name is unknown or taken.
    """
    named = {"application_name": APPLICATION_NAME, **address.options.get("server_settings", {})}
    options = {"dsn": address.dsn, **address.options, "server_settings": named}
    return {**options, "prepared_statement_cache_size": 0} if address.is_pooled else options


def sqlite_engines(url: str, threads: WeakSet[Thread]) -> tuple[AsyncEngine, AsyncEngine]:
    """The engine that writes and the engine that reads. The threads of their connections are added to `threads`."""
    driver: dict[str, Any] = {
        "poolclass": WatchedPool,
        "pool_timeout": POOL_SECONDS,
        "pool_reset_on_return": None,  # each session ends its own transaction
        "hide_parameters": True,  # errors are logged, and parameters contain messages and secrets
    }
    writes = {"async_creator_fn": partial(sqlite.connect, threads=threads)}
    reads = {"async_creator_fn": partial(sqlite.connect, threads=threads, is_reader=True)}
    writer = create_async_engine(driver_url(url), pool_size=1, max_overflow=0, connect_args=writes, **driver)
    reader = create_async_engine(driver_url(url), pool_size=8, max_overflow=0, connect_args=reads, **driver)
    _begin_sqlite_with(writer, "BEGIN IMMEDIATE")
    _begin_sqlite_with(reader, "BEGIN")
    return writer, reader


def guard(engine: AsyncEngine, on_refused: Callable[[], None]) -> None:
    """Let the pool hand out only open connections without a transaction. `on_refused` is called when a connection is
    returned inside a transaction.

    A connection that is reused inside an earlier transaction reads stale rows, and its commits are lost, because
    asyncpg turns BEGIN and COMMIT into savepoints there. Sessions end their own transactions; this is a second check.
    """
    driver = sqlite if engine.dialect.name == "sqlite" else postgres

    def on_checkout(adapted: Any, _record: object, _proxy: object) -> None:
        if not driver.is_open(adapted.driver_connection):
            raise DisconnectionError("the connection was closed while it was in the pool")

    def on_checkin(adapted: Any, record: Any) -> None:
        if adapted is not None and not driver.is_idle(adapted.driver_connection):
            logger.error("a connection was returned to the pool inside a transaction, and was closed")
            on_refused()
            record.invalidate()

    def on_statement(*_: object) -> None:
        DATABASE.statements += 1

    sa_event.listen(engine.sync_engine, "before_cursor_execute", on_statement)
    sa_event.listen(engine.sync_engine, "checkout", on_checkout)
    sa_event.listen(engine.sync_engine, "checkin", on_checkin)


def _begin_sqlite_with(engine: AsyncEngine, begin: str) -> None:
    def on_begin(connection: sa.Connection) -> None:
        cast("sqlite.Connection", connection.connection.driver_connection).begin(begin)

    sa_event.listen(engine.sync_engine, "begin", on_begin)
