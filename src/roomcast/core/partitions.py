"""Hash partitions by room for the tables that grow (PostgreSQL), made on request by `roomcast migrate --partitions N`.

A unique constraint of a partitioned table has to contain the partition key, so each gets `room_id` added. The ids of
messages, which are the idempotency keys of sends, have to be unique over all rooms: the table `message_ids` keeps them,
filled by a trigger, and tables that refer to a message refer to it. So the code of the server is the same for both
forms.

One transaction does it all. If it is interrupted, nothing has changed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from roomcast.core.migrations import LOCK, UnusableDatabase, driver_errors, first_line
from roomcast.database_urls import read_postgres_url

LOCK_SECONDS = 10
"""How long to wait for a migration to end, and for the tables, which a running server uses all the time."""

MAX_PARTITIONS = 1024


@dataclass(frozen=True, slots=True)
class GrowingTable:
    """`key`: the primary key of the partitioned form. `needs_room`: `room_id` may be null in older rows, and is then
    that of the message."""

    name: str
    key: str
    needs_room: bool = False


TABLES = (
    GrowingTable("messages", "room_id, seq"),
    GrowingTable("room_events", "room_id, seq"),
    GrowingTable("mentions", "message_id, user_id, room_id"),
    GrowingTable("reactions", "message_id, emoji, user_id, room_id", needs_room=True),
    GrowingTable("former_bodies", "message_id, revision, room_id", needs_room=True),
    GrowingTable("message_texts", "id, room_id", needs_room=True),
)

_IDS = """
    CREATE TABLE message_ids (id uuid NOT NULL, room_id uuid NOT NULL);
    CREATE FUNCTION add_message_ids() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO message_ids SELECT id, room_id FROM changed; RETURN NULL; END';
    CREATE FUNCTION delete_message_ids() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN DELETE FROM message_ids USING changed WHERE message_ids.id = changed.id; RETURN NULL; END'
"""
_TRIGGERS = """
    CREATE TRIGGER add_message_ids AFTER INSERT ON messages REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION add_message_ids();
    CREATE TRIGGER delete_message_ids AFTER DELETE ON messages REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION delete_message_ids()
"""


async def partition(url: str, count: int) -> str:
    """Partition the growing tables of a migrated database. Returns what was done. Raises UnusableDatabase with what to
    do, also if the copy is not equal to the original; nothing has changed then."""
    address = read_postgres_url(url)
    try:
        connection = await asyncpg.connect(address.dsn, **{"timeout": 10, **address.options})
        try:
            async with connection.transaction():
                return await _partition(connection, count)
        finally:
            connection.terminate()
    except asyncpg.LockNotAvailableError:
        raise UnusableDatabase("its tables are in use: stop all servers, then run this again") from None
    except driver_errors() as error:
        raise UnusableDatabase(first_line(error)) from error


async def _partition(connection: Any, count: int) -> str:
    await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
    await connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    try:
        await connection.fetchval("SELECT pg_advisory_xact_lock($1)", LOCK)
    except asyncpg.LockNotAvailableError:
        raise UnusableDatabase("it is being migrated: wait until that has ended, then run this again") from None
    present = await connection.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('messages')")
    if present == count:
        return f"The tables already have {count} partitions."
    if present:
        raise UnusableDatabase(f"its tables have {present} partitions already, and their number cannot be changed")
    await connection.execute(f"LOCK TABLE {', '.join(table.name for table in TABLES)}, files, thread_states")
    references = await _references_to_messages(connection)
    for reference in references:
        await connection.execute(f"ALTER TABLE {reference['table']} DROP CONSTRAINT {reference['name']}")
    await connection.execute(_IDS)
    await connection.execute("INSERT INTO message_ids SELECT id, room_id FROM messages")
    await connection.execute("ALTER TABLE message_ids ADD CONSTRAINT pk_message_ids PRIMARY KEY (id)")
    rows = 0
    for table in TABLES:
        rows += await _partition_table(connection, table, count)
    for reference in references:
        definition = re.sub(r"REFERENCES \S*messages\(id\)", "REFERENCES message_ids(id)", reference["definition"])
        await connection.execute(f"ALTER TABLE {reference['table']} ADD CONSTRAINT {reference['name']} {definition}")
    await connection.execute(_TRIGGERS)
    return f"Each of {len(TABLES)} tables has {count} partitions now; {rows} rows were copied and compared."


async def _references_to_messages(connection: Any) -> Sequence[Any]:
    return await connection.fetch(  # type: ignore[no-any-return]
        'SELECT conrelid::regclass::text AS "table", conname AS name, pg_get_constraintdef(oid) AS definition '
        "FROM pg_constraint WHERE contype = 'f' AND confrelid = 'messages'::regclass"
    )


async def _partition_table(connection: Any, table: GrowingTable, count: int) -> int:
    """Returns the number of its rows."""
    name, plain = table.name, f"{table.name}_plain"
    constraints = await connection.fetch(
        "SELECT conname AS name, contype AS kind, pg_get_constraintdef(oid) AS definition FROM pg_constraint "
        "WHERE conrelid = $1::text::regclass AND contype IN ('p', 'u', 'f') ORDER BY contype = 'f' DESC",
        name,
    )
    for constraint in constraints:
        await connection.execute(f"ALTER TABLE {name} DROP CONSTRAINT {constraint['name']}")
    indexes = await connection.fetch(
        "SELECT indexname AS name, indexdef AS definition FROM pg_indexes "
        "WHERE schemaname = current_schema() AND tablename = $1",
        name,
    )
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    await connection.execute(f"ALTER TABLE {name} RENAME TO {plain}")
    await connection.execute(f"CREATE TABLE {name} (LIKE {plain} INCLUDING DEFAULTS) PARTITION BY HASH (room_id)")
    for number in range(count):
        values = f"FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
        await connection.execute(f"CREATE TABLE {name}_p{number} PARTITION OF {name} {values}")
    copied = await _copy(connection, table)
    await _add_constraints(connection, table, constraints)
    for index in indexes:
        await connection.execute(re.sub(r" ON (ONLY )?\S+ USING ", f" ON {name} USING ", index["definition"], count=1))
    if name == "message_texts":
        await connection.execute("ALTER SEQUENCE message_texts_id_seq OWNED BY message_texts.id")
    await connection.execute(f"DROP TABLE {plain}")
    return copied


async def _copy(connection: Any, table: GrowingTable) -> int:
    """Copy the rows and compare their number and a checksum. `room_id` is left out where it was filled in."""
    columns = [
        row[0]
        for row in await connection.fetch(
            "SELECT quote_ident(attname) FROM pg_attribute "
            "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table.name,
        )
    ]
    chosen, source = ", ".join(columns), f"{table.name}_plain AS old"
    if table.needs_room:
        chosen = ", ".join("message_ids.room_id" if column == "room_id" else f"old.{column}" for column in columns)
        source += " JOIN message_ids ON message_ids.id = old.message_id"
    await connection.execute(f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {chosen} FROM {source}")  # noqa: S608 (names of our tables)
    compared = ", ".join(column for column in columns if not (table.needs_room and column == "room_id"))
    sums = "SELECT count(*), coalesce(sum(hashtextextended(ROW({columns})::text, 0)::numeric), 0) FROM {name}"
    before, after = [
        tuple(await connection.fetchrow(sums.format(columns=compared, name=name)))
        for name in (f"{table.name}_plain", table.name)
    ]
    if before != after:
        raise UnusableDatabase(f"the copy of {table.name} differs from the original: nothing was changed")
    return int(after[0])


async def _add_constraints(connection: Any, table: GrowingTable, constraints: Sequence[Any]) -> None:
    for constraint in constraints:
        definition = constraint["definition"]
        if constraint["kind"] == b"p":
            definition = f"PRIMARY KEY ({table.key})"
        elif constraint["kind"] == b"u" and table.name == "messages":  # `message_ids` keeps the ids unique
            await connection.execute("CREATE INDEX ix_messages_id ON messages (id)")
            continue
        elif constraint["kind"] == b"u":
            definition = definition.replace(")", ", room_id)", 1)
        await connection.execute(f"ALTER TABLE {table.name} ADD CONSTRAINT {constraint['name']} {definition}")
