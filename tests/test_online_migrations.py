"""Rules for migrations on PostgreSQL: the former release goes on sending while they run (docs/upgrading.md).

Each revision runs on a database at the revision before it. Its statements are recorded, with the locks that the
transaction holds after each of them.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import Script, ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from roomcast.core import migrations
from roomcast.core.db import driver_url
from tests import servers
from tests.conftest import run_in_own_loop

BLOCKS_WRITERS = {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}

QUICK = re.compile(
    r"CREATE TABLE |ALTER TABLE \S+ ADD COLUMN |ALTER TABLE .* (NOT VALID|USING INDEX \S+)$|COMMENT ON |SET "
    r"|SELECT (pg_catalog|\w+ FROM pg_class|alembic_version)|(INSERT INTO|UPDATE) alembic_version"
)
"""Statements that take no longer on a large table than on an empty one."""

LOCKS = (
    "SELECT relname, mode FROM pg_locks JOIN pg_class ON pg_class.oid = relation "
    "WHERE pid = pg_backend_pid() AND relkind IN ('r', 'p')"
)
COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable = 'YES', column_default IS NOT NULL "
    "FROM information_schema.columns WHERE table_schema = 'public'"
)
FILES = "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
RESTRICTIONS = """
    SELECT index.relname, of.relname, attname FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
    JOIN pg_class AS of ON of.oid = indrelid JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
    WHERE indisunique AND of.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT conname, of.relname, attname FROM pg_constraint JOIN pg_class AS of ON of.oid = conrelid
    JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY(conkey)
    WHERE contype IN ('c', 'f', 'x') AND connamespace = 'public'::regnamespace
"""

REVISIONS: list[Script] = sorted(
    ScriptDirectory(str(migrations.scripts())).walk_revisions(), key=lambda script: script.revision
)


@dataclass(frozen=True)
class Statement:
    sql: str
    is_alone: bool
    """Whether it is a transaction of its own."""
    locked: frozenset[str]
    """The tables that nobody else can write to from now on until the transaction ends."""
    lock_timeout: str


@dataclass(frozen=True)
class Column:
    type: str
    is_nullable: bool
    has_default: bool


@dataclass(frozen=True)
class Schema:
    columns: dict[tuple[str, str], Column]
    files: dict[str, int]
    """The number of each table's file, which changes when PostgreSQL rewrites the table."""
    restrictions: dict[str, set[tuple[str, str]]]
    """The columns of each unique index, check and foreign key."""


async def read_schema(url: str) -> Schema:
    connection = await asyncpg.connect(url)
    try:
        columns = {(row[0], row[1]): Column(row[2], row[3], row[4]) for row in await connection.fetch(COLUMNS)}
        files = {row[0]: row[1] for row in await connection.fetch(FILES)}
        restrictions: dict[str, set[tuple[str, str]]] = {}
        for name, table, column in await connection.fetch(RESTRICTIONS):
            restrictions.setdefault(name, set()).add((table, column))
        return Schema(columns, files, restrictions)
    finally:
        await connection.close()


@contextmanager
def recorded() -> Iterator[list[Statement]]:
    """The statements that are executed in the block, on any engine."""
    found: list[Statement] = []

    def record(connection: sa.Connection, _cursor: Any, sql: str, *_: object) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(LOCKS)
        locked = frozenset(table for table, mode in cursor.fetchall() if mode in BLOCKS_WRITERS)
        cursor.execute("SELECT current_setting('lock_timeout')")
        [(lock_timeout,)] = cursor.fetchall()
        cursor.close()
        is_alone = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        found.append(Statement(" ".join(sql.split()), is_alone, locked, lock_timeout))

    sa.event.listen(sa.Engine, "after_cursor_execute", record)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", record)


class Interrupted(Exception):
    """Raised instead of the last statement of a revision."""


@contextmanager
def interrupted() -> Iterator[None]:
    def interrupt(_connection: sa.Connection, _cursor: Any, sql: str, *_: object) -> None:
        if sql.startswith("UPDATE alembic_version"):
            raise Interrupted

    sa.event.listen(sa.Engine, "before_cursor_execute", interrupt)
    try:
        with pytest.raises(Interrupted):
            yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", interrupt)


# ------------------------------------------------------------------ the rules


def violations(before: Schema, after: Schema, statements: list[Statement], *, is_contraction: bool) -> list[str]:
    tables = before.files.keys() - {"alembic_version"}
    return [
        *(
            f"{table}: rewritten"
            for table in tables
            if after.files.get(table, before.files[table]) != before.files[table]
        ),
        *_column_violations(before, after, is_contraction),
        *_restriction_violations(before, after),
        *(f"{problem}: {each.sql}" for each in statements for problem in _statement_violations(each, tables)),
    ]


def _column_violations(before: Schema, after: Schema, is_contraction: bool) -> Iterator[str]:
    """The former release uses the columns that it knows, and leaves the new ones out."""
    for (table, name), column in before.columns.items():
        now = after.columns.get((table, name))
        if now is None and not is_contraction:
            yield f"{table}.{name}: dropped, and the former release may use it"
        elif now is not None and (now.type != column.type or (column.is_nullable and not now.is_nullable)):
            yield f"{table}.{name}: another type, or no longer nullable"
    for (table, name), column in after.columns.items():
        is_new = (table, name) not in before.columns and table in before.files
        if is_new and not column.is_nullable and not column.has_default:
            yield f"{table}.{name}: neither nullable nor with a default, so the former release can insert no rows"


def _restriction_violations(before: Schema, after: Schema) -> Iterator[str]:
    for name in after.restrictions.keys() - before.restrictions.keys():
        if after.restrictions[name] <= before.columns.keys():
            yield f"{name}: restricts columns that the former release writes"


def _statement_violations(statement: Statement, tables: set[str]) -> Iterator[str]:
    sql = statement.sql
    index = re.match(r"CREATE (?:UNIQUE )?INDEX (CONCURRENTLY )?.*?\bON (\S+)", sql)
    if index and index[2] in tables and not index[1]:
        yield "blocks writers while the index is made; use create_index"
    if statement.is_alone:
        return
    changed = re.search(r"\b(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)", sql)
    if changed and changed[1] in tables:
        yield "locks rows until the end of the revision; use own_transactions"
    if statement.locked & tables:
        if not QUICK.match(sql) and not (index and index[2] not in tables):
            yield f"takes long while {', '.join(sorted(statement.locked & tables))} is locked"
        if statement.lock_timeout == "0":
            yield "waits for a lock without limit, and everybody else behind it"


# ------------------------------------------------------------------ the migrations


@pytest.fixture(scope="module")
def database(postgres_server: servers.Server) -> str:
    return run_in_own_loop(servers.create_database(postgres_server.url, "online_migrations"))


@pytest.mark.parametrize("script", REVISIONS[1:], ids=lambda script: script.revision)
async def test_each_migration_lets_the_former_release_write_and_can_be_repeated(database: str, script: Script) -> None:
    """It is interrupted at its end, and run again. A revision that drops what no release uses any more says since
    when: `unused_since = "1.2.0"`."""
    config = migrations.config(database)
    await asyncio.to_thread(command.upgrade, config, str(script.down_revision))
    before = await read_schema(database)
    with recorded() as statements:
        with interrupted():
            await asyncio.to_thread(command.upgrade, config, script.revision)
        await asyncio.to_thread(command.upgrade, config, script.revision)
    assert statements
    is_contraction = hasattr(script.module, "unused_since")
    assert not violations(before, await read_schema(database), statements, is_contraction=is_contraction)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("ALTER TABLE messages DROP COLUMN edited_at", "dropped"),
        ("ALTER TABLE messages ALTER COLUMN revision TYPE bigint", "rewritten"),
        ("ALTER TABLE messages ALTER COLUMN body SET NOT NULL", "no longer nullable"),
        ("ALTER TABLE messages ADD COLUMN extra text NOT NULL", "neither nullable"),
        ("ALTER TABLE messages ADD COLUMN extra uuid DEFAULT gen_random_uuid()", "rewritten"),
        ("CREATE INDEX extra ON messages (body)", "use create_index"),
        ("CREATE UNIQUE INDEX extra ON messages (author_id)", "restricts columns"),
        ("UPDATE messages SET body = 'x'", "use own_transactions"),
        ("ALTER TABLE rooms ADD COLUMN extra int; SELECT count(*) FROM messages", "takes long while rooms is locked"),
        ("ALTER TABLE rooms ADD COLUMN extra int", "without limit"),
        ("ALTER TABLE rooms ADD CHECK (member_count >= 0)", "takes long while rooms is locked"),
    ],
)
async def test_the_rules_find_what_would_stop_the_former_release(
    sql: str, reason: str, postgres_server: servers.Server, postgres_template: str
) -> None:
    url = await servers.create_database(postgres_server.url, f"broken_{abs(hash(sql))}", postgres_template)
    before = await read_schema(url)
    engine = create_async_engine(driver_url(url))
    try:
        with recorded() as statements:
            async with engine.begin() as connection:
                for part in sql.split("; "):
                    await connection.exec_driver_sql(part)
    finally:
        await engine.dispose()
    found = violations(before, await read_schema(url), statements, is_contraction=False)
    assert any(reason in each for each in found), found


async def test_a_migration_waits_for_a_table_in_use_and_stops_nobody(postgres_server: servers.Server) -> None:
    """A long transaction, for example of pg_dump, reads a table that the revision changes."""
    url = await servers.create_database(postgres_server.url, "in_use")
    await asyncio.to_thread(command.upgrade, migrations.config(url), "0007")
    reading, sending = await asyncio.gather(asyncpg.connect(url), asyncpg.connect(url))
    try:
        async with reading.transaction():
            await reading.execute("SELECT count(*) FROM memberships")
            migrating = asyncio.create_task(migrations.upgrade(url))
            await _until_waiting(reading)
            await sending.execute("UPDATE memberships SET role = role", timeout=10)
            assert not migrating.done()
        await migrating
    finally:
        await reading.close()
        await sending.close()
    assert await migrations.revision(url) == migrations.head()


async def _until_waiting(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'memberships'::regclass"
    async with asyncio.timeout(30):
        while not await connection.fetchval(waiting):  # noqa: ASYNC110 (another session has to be polled)
            await asyncio.sleep(0.02)
