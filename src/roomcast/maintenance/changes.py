"""Changes in a database while it is copied: triggers that note which rows change, and the freeze at the end.

The triggers run in the transactions of the server that changes the rows, so no change is missed and none is noted that
was rolled back. The server does not know of them.
"""

import asyncio
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from roomcast.core.outages import MOVED, is_lock_failure
from roomcast.maintenance import rows
from roomcast.maintenance.databases import STORE, for_writing, is_sqlite
from roomcast.maintenance.rows import Key
from roomcast.maintenance.targets import CopyFailed

CHANGES = sa.Table(
    "copy_changes",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("table_name", sa.String(80), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
)

LOCK_TRIES, LOCK_SECONDS = 20, 2
"""How often and how long a lock of the source is tried. Meanwhile its server waits, too."""

IDS_PER_STATEMENT = 5_000

Changed = dict[str, set[Key]]
"""The keys of the changed rows of each table."""


async def install(source: AsyncEngine) -> None:
    """Create the triggers that are missing. Raises CopyFailed if the source is too busy."""
    async with for_writing(source).begin() as connection:
        await connection.run_sync(CHANGES.create, checkfirst=True)
    for table in rows.copied_tables():  # one transaction each: several locks at once could deadlock with the server
        statements = list(_capture(table, is_sqlite=is_sqlite(source)))
        for _ in range(LOCK_TRIES):
            if await _try(source, statements):
                break
        else:
            raise CopyFailed(f"the table {table.name} of the source was locked all the time: try again later")


async def _try(source: AsyncEngine, statements: Sequence[str]) -> bool:
    try:
        async with source.begin() as connection:
            await limit_lock_waits(connection)
            for statement in statements:
                await connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if is_lock_failure(error):
            await asyncio.sleep(0.2)
            return False
        raise
    return True


async def limit_lock_waits(connection: AsyncConnection) -> None:
    if connection.dialect.name != "sqlite":
        await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")


async def remove(source: AsyncEngine) -> None:
    """Delete all that this module has created in the source, and the mark that it was copied."""
    async with for_writing(source).begin() as connection:
        if is_sqlite(source):
            found = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'copy!_%' ESCAPE '!'"
            for (name,) in (await connection.exec_driver_sql(found)).all():
                await connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        else:
            for name in (*(f"copy_capture_{table.name}" for table in rows.copied_tables()), "copy_freeze"):
                await connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {name}() CASCADE")
        await connection.run_sync(CHANGES.drop, checkfirst=True)
        await connection.execute(sa.update(STORE).values(moved_to=None))


# ------------------------------------------------------------------ applying


async def pending(connection: AsyncConnection) -> tuple[list[int], Changed]:
    """The noted changes that this connection sees: their ids, and the keys of the rows."""
    found = (await connection.execute(sa.select(CHANGES))).all()
    keys: dict[str, set[str]] = {}
    for _, name, key in found:
        keys.setdefault(name, set()).add(key)
    tables = {table.name: table for table in rows.copied_tables()}
    changed = {name: {rows.decode_key(tables[name], key) for key in some} for name, some in keys.items()}
    return [id_ for id_, _, _ in found], changed


async def apply(source: AsyncConnection, target: AsyncConnection, changed: Changed) -> None:
    """Give the target the rows with these keys as they are in the source.

    All are deleted before any is inserted: a unique value may have moved from one row to another.
    """
    tables = [table for table in rows.copied_tables() if table.name in changed]
    for table in tables:
        await rows.delete_rows(target, table, list(changed[table.name]))
    for table in tables:
        keys = list(changed[table.name])
        for start in range(0, len(keys), rows.BATCH_ROWS):
            found = await rows.read_rows(source, table, keys[start : start + rows.BATCH_ROWS])
            if found:
                await rows.write_rows(target, table, found)


async def forget(source: AsyncEngine, ids: Sequence[int]) -> None:
    """Delete noted changes that have been applied."""
    for start in range(0, len(ids), IDS_PER_STATEMENT):
        some = ids[start : start + IDS_PER_STATEMENT]
        async with source.begin() as connection:
            await connection.execute(sa.delete(CHANGES).where(CHANGES.c.id.in_(some)))


# ------------------------------------------------------------------ the freeze


async def lock(connection: AsyncConnection) -> None:
    """Keep all others from writing until this transaction ends. Raises DBAPIError if that takes too long."""
    if connection.dialect.name == "sqlite":
        await connection.execute(sa.delete(CHANGES).where(sa.false()))  # takes SQLite's only write lock
        return
    await limit_lock_waits(connection)
    names = ", ".join(f'"{table.name}"' for table in (*rows.copied_tables(), STORE))
    await connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")


async def freeze(connection: AsyncConnection, moved_to: str) -> None:
    """Let every later change of the source fail, with the reason."""
    await connection.execute(sa.update(STORE).values(moved_to=moved_to))
    tables = [*rows.copied_tables(), STORE]
    for statement in _freeze(tables, moved_to, is_sqlite=connection.dialect.name == "sqlite"):
        await connection.exec_driver_sql(statement)


def _capture(table: sa.Table, *, is_sqlite: bool) -> Iterator[str]:
    names = [column.name for column in rows.key_columns(table)]
    array = "json_array({})" if is_sqlite else "jsonb_build_array({})::text"
    note = f"INSERT INTO copy_changes (table_name, key) SELECT '{table.name}', {array}"
    new, old = (note.format(", ".join(f'{row}."{name}"' for name in names)) for row in ("NEW", "OLD"))
    moved = " OR ".join(f'NEW."{name}" <> OLD."{name}"' for name in names)
    trigger = f"copy_capture_{table.name}"
    if is_sqlite:
        bodies = {"INSERT": new, "UPDATE": f"{new}; {old} WHERE {moved}", "DELETE": old}
        for change, body in bodies.items():
            head = f"CREATE TRIGGER IF NOT EXISTS {trigger}_{change.lower()} AFTER {change} ON {table.name}"
            yield f"{head} BEGIN {body}; END"
        return
    yield (
        f"CREATE OR REPLACE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'INSERT' THEN {new}; ELSIF TG_OP = 'DELETE' THEN {old}; "
        f"ELSE {new}; IF {moved} THEN {old}; END IF; END IF; RETURN NULL; END $$"
    )
    yield f"DROP TRIGGER IF EXISTS {trigger} ON {table.name}"
    yield (
        f"CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE ON {table.name} "
        f"FOR EACH ROW EXECUTE FUNCTION {trigger}()"
    )


def _freeze(tables: Sequence[sa.Table], moved_to: str, *, is_sqlite: bool) -> Iterator[str]:
    reason = f"this installation was copied to {moved_to}".replace("'", "''").replace("%", "%%")
    if is_sqlite:
        for table in tables:
            for change in ("INSERT", "UPDATE", "DELETE"):
                head = f"CREATE TRIGGER copy_freeze_{table.name}_{change.lower()} BEFORE {change} ON {table.name}"
                yield f"{head} BEGIN SELECT RAISE(ABORT, '{reason}'); END"
        return
    yield (
        "CREATE OR REPLACE FUNCTION copy_freeze() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION '{reason}' USING ERRCODE = '{MOVED}'; END $$"
    )
    for table in tables:
        yield (
            f"CREATE TRIGGER copy_freeze BEFORE INSERT OR UPDATE OR DELETE ON {table.name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION copy_freeze()"
        )
