"""Runs migrations on both databases. Each run is one transaction under a lock.

Without the lock, four of eight processes that started together failed. A revision that raises is rolled back. The
address of the database comes from `roomcast.core.migrations`, or, for the command `alembic`, from the settings.
"""

import asyncio
import logging
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import AutoString

from roomcast.core.columns import UTCDateTime
from roomcast.core.engines import driver_options, driver_url
from roomcast.core.migrations import DRIVER_ERRORS, first_line, is_model
from roomcast.database_urls import read_postgres_url
from roomcast.settings import WrongSetting, data_folder, load_settings, set_private_umask
from roomcast.tables import metadata

LOCK = 0x726F6F6D  # "room"; any number that no other program uses on this database


def render_item(kind: str, item: object, _autogen: Any) -> str | bool:
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, AutoString):
        return f"sa.String({item.length})"
    return False


def migrate(connection: sa.Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=sqlite,
        compare_type=True,
        compare_server_default=True,
        render_item=render_item,
        include_object=is_model,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if not sqlite:  # on SQLite, BEGIN IMMEDIATE below is the lock
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        context.run_migrations()


def engine(url: str) -> AsyncEngine:
    options = driver_options(read_postgres_url(url)) if url.startswith("postgres") else {}
    made = create_async_engine(driver_url(url), poolclass=NullPool, hide_parameters=True, connect_args=options)
    if made.dialect.name == "sqlite":
        sa.event.listen(made.sync_engine, "connect", _on_connect)
        sa.event.listen(made.sync_engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    return made


def _on_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("busy_timeout=60000", "journal_mode=WAL", "foreign_keys=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


async def run(url: str) -> None:
    made = engine(url)
    try:
        async with made.connect() as connection:
            await connection.run_sync(migrate)
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
    except DRIVER_ERRORS as error:
        raise CommandError(f"ROOMCAST_DATABASE_URL: the database cannot be used: {first_line(error)}") from None


if "url" in context.config.attributes:
    asyncio.run(run(context.config.attributes["url"]))
else:
    run_for_command()
