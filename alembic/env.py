"""Runs migrations on both databases, under a lock: without it, four of eight processes that started together failed.

On SQLite a run is one transaction. On PostgreSQL each revision is one, so that no table stays locked during the next,
and a revision may have steps with transactions of their own (`roomcast.core.migration_steps`). A run that was
interrupted is continued by the next one. The address of the database comes from `roomcast.core.migrations`, or, for the
command `alembic`, from the settings.
"""

import asyncio
import logging
import time
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import AutoString

from roomcast.core import sqlite
from roomcast.core.columns import UTCDateTime
from roomcast.core.engines import driver_options, driver_url
from roomcast.core.migration_steps import LOCK_TIMEOUT
from roomcast.core.migrations import LOCK, driver_errors, first_line, is_model
from roomcast.core.outages import is_lock_failure
from roomcast.data_folder import data_folder, set_private_umask
from roomcast.database_urls import read_postgres_url
from roomcast.settings import WrongSetting, load_settings
from roomcast.tables import metadata

POLL_SECONDS = 0.2
BUSY_SECONDS = 60.0
"""How long a revision is tried again while other transactions use its tables."""


def render_item(kind: str, item: object, _autogen: Any) -> str | bool:
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, AutoString):
        return f"sa.String({item.length})"
    return False


def migrate(connection: sa.Connection) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=is_sqlite,
        compare_type=True,
        compare_server_default=True,
        render_item=render_item,
        include_object=is_model,
        transactional_ddl=True,
        transaction_per_migration=not is_sqlite,
    )
    with context.begin_transaction():
        context.run_migrations()


def lock(connection: sa.Connection) -> None:
    """Wait for the lock, which ends with the connection. On SQLite, BEGIN IMMEDIATE (see below) is the lock.

    It is polled: a waiting statement would be a transaction that `CREATE INDEX CONCURRENTLY` waits for.
    """
    if connection.dialect.name == "sqlite":
        return
    while not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}):
        connection.commit()
        time.sleep(POLL_SECONDS)


def migrate_when_free(connection: sa.Connection) -> None:
    """Migrate; where a table is in use for longer than the lock time-out, try that revision again."""
    lock(connection)
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            connection.commit()
        try:
            return migrate(connection)
        except sa.exc.DBAPIError as error:
            connection.rollback()
            if not is_lock_failure(error) or time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def engine(url: str) -> AsyncEngine:
    options = driver_options(read_postgres_url(url)) if url.startswith("postgres") else {}
    made = create_async_engine(driver_url(url), poolclass=NullPool, hide_parameters=True, connect_args=options)
    if made.dialect.name == "sqlite":
        sa.event.listen(made.sync_engine, "connect", _on_connect)
        sa.event.listen(made.sync_engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    return made


def _on_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    sqlite.add_functions(connection)
    cursor = connection.cursor()
    for pragma in ("busy_timeout=60000", "journal_mode=WAL", "foreign_keys=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


async def run(url: str) -> None:
    made = engine(url)
    try:
        async with made.connect() as connection:
            await connection.run_sync(migrate_when_free)
            await connection.commit()
    finally:
        await made.dispose()


def run_for_command() -> None:
    """Run what the command `alembic` asks for. Problems are printed as one sentence."""
    if context.is_offline_mode():
        raise CommandError("--sql is not supported: some revisions read the tables that they change")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    set_private_umask()
    try:
        settings = load_settings()
        data_folder(settings)
        asyncio.run(run(settings.database_direct_url))
    except WrongSetting as error:
        raise CommandError(str(error)) from None
    except driver_errors() as error:
        raise CommandError(f"ROOMCAST_DATABASE_URL: the database cannot be used: {first_line(error)}") from None


if "url" in context.config.attributes:
    asyncio.run(run(context.config.attributes["url"]))
else:
    run_for_command()
