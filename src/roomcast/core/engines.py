"""The engines of both databases, and what their pools never hand out: a connection that is closed or in a transaction.

SQLite gets one writer connection that begins IMMEDIATE and readers that cannot write: SQLAlchemy's default mode
silently lost updates there (4,928 commits, counter at 385).
"""

import logging
from collections.abc import Callable
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from roomcast.core import postgres, sqlite

logger = logging.getLogger("roomcast.db")

POOL_SECONDS = 30
"""The longest wait for a connection out of the pool."""

CONNECT_SECONDS, STATEMENT_SECONDS = 5, 20
"""The longest that PostgreSQL may take to accept a connection, and to answer one statement."""


def driver_url(url: str) -> sa.URL:
    """The operator's `postgresql://` or `sqlite:///` with the driver we use; libpq's `sslmode` becomes asyncpg's."""
    target = sa.make_url(url)
    if target.get_backend_name() == "sqlite":
        return target.set(drivername="sqlite+aiosqlite")
    sslmode = target.query.get("sslmode")
    if sslmode is not None:
        target = target.difference_update_query(["sslmode"]).update_query_dict({"ssl": sslmode})
    return target.set(drivername="postgresql+asyncpg")


def postgres_engine(url: str) -> AsyncEngine:
    return create_async_engine(
        driver_url(url),
        pool_size=10,
        max_overflow=5,
        pool_timeout=POOL_SECONDS,
        pool_recycle=1800,
        pool_reset_on_return=None,  # every session ends its transaction itself
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": STATEMENT_SECONDS,
            "async_creator_fn": postgres.connect,
        },
    )


def sqlite_engines(url: str) -> tuple[AsyncEngine, AsyncEngine]:
    """The writer's and the readers'."""
    driver: dict[str, Any] = {
        "pool_timeout": POOL_SECONDS,
        "pool_reset_on_return": None,  # every session ends its transaction itself
        "connect_args": {"async_creator_fn": sqlite.connect},
    }
    writer = create_async_engine(driver_url(url), pool_size=1, max_overflow=0, **driver)
    reader = create_async_engine(driver_url(url), pool_size=8, max_overflow=0, **driver)
    _prepare(writer, "BEGIN IMMEDIATE")
    _prepare(reader, "BEGIN", "PRAGMA query_only=ON")
    return writer, reader


def guard(engine: AsyncEngine, on_refused: Callable[[], None]) -> None:
    """Let the pool hand out open, idle connections only. `on_refused`: one came back inside a transaction.

    A connection that is reused inside another's transaction reads stale rows, and its own commits are lost: asyncpg
    turns BEGIN and COMMIT into savepoints there. The sessions end their transactions; this is the second line.
    """
    kind = sqlite if engine.dialect.name == "sqlite" else postgres

    def on_checkout(adapted: Any, _record: object, _proxy: object) -> None:
        if not kind.is_open(adapted.driver_connection):
            raise DisconnectionError("the connection was lost while it was in the pool")

    def on_checkin(adapted: Any, record: Any) -> None:
        if adapted is not None and not kind.is_idle(adapted.driver_connection):
            logger.error("a connection came back to the pool inside a transaction, and was closed")
            on_refused()
            record.invalidate()

    sa_event.listen(engine.sync_engine, "checkout", on_checkout)
    sa_event.listen(engine.sync_engine, "checkin", on_checkin)


def _prepare(engine: AsyncEngine, begin: str, *pragmas: str) -> None:
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin on its own
        cursor = connection.cursor()
        for pragma in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "PRAGMA busy_timeout=2500",
            "PRAGMA foreign_keys=ON",
            "PRAGMA cache_size=-65536",
            "PRAGMA journal_size_limit=67108864",
            *pragmas,
        ):
            cursor.execute(pragma)
        cursor.close()

    sa_event.listen(engine.sync_engine, "connect", connected)
    sa_event.listen(engine.sync_engine, "begin", lambda connection: _driver(connection).begin(begin))


def _driver(connection: sa.Connection) -> sqlite.Connection:
    return cast("sqlite.Connection", connection.connection.driver_connection)
