"""Runs migrations on both databases. Each run is one transaction under a lock.

Without the lock, four of eight processes that started together failed. A revision that raises is rolled back.
"""

import asyncio
from typing import Any

import sqlalchemy as sa
from alembic import context
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import AutoString

from roomcast.core.columns import UTCDateTime
from roomcast.core.db import driver_url
from roomcast.core.migrations import is_model
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


def engine() -> AsyncEngine:
    made = create_async_engine(driver_url(context.config.attributes["url"]), poolclass=NullPool, hide_parameters=True)
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


async def run() -> None:
    made = engine()
    try:
        async with made.connect() as connection:
            await connection.run_sync(migrate)
            await connection.commit()
    finally:
        await made.dispose()


asyncio.run(run())
