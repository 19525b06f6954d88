"""Steps of migrations that let the former release go on writing (docs/upgrading.md).

On SQLite nothing else runs during a migration, so these are plain statements of its one transaction there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op

LOCK_TIMEOUT = "2s"
"""A statement that waits for a table also stops everybody who comes after it."""

ROOMS_AT_A_TIME = 100


@contextmanager
def own_transactions() -> Iterator[None]:
    """On PostgreSQL, commit what came before, and run each statement of the block in a transaction of its own."""
    if is_sqlite():
        yield
    else:
        with op.get_context().autocommit_block():
            yield


def create_index(name: str, table: str, columns: Sequence[str | sa.TextClause], **options: Any) -> None:
    """Create an index without blocking writers. An interrupted run leaves an invalid index, which is replaced.

    On a partitioned table PostgreSQL cannot do that: writers wait."""
    if is_sqlite():
        op.create_index(name, table, columns, **options)
        return
    with own_transactions():
        if is_partitioned(table):
            op.create_index(name, table, columns, if_not_exists=True, **options)
            return
        op.execute("SET lock_timeout = 0")  # it waits for all running transactions, and nobody waits for it
        op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
        op.create_index(name, table, columns, postgresql_concurrently=True, **options)
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column, for revisions that commit in between: a run that is continued finds it there."""
    op.add_column(table, column, if_not_exists=None if is_sqlite() else True)


def execute_for_rooms(*statements: str) -> None:
    """Execute statements for some rooms at a time, `:rooms`, until all rooms have had their turn."""
    with own_transactions():
        rooms = list(op.get_bind().scalars(sa.text("SELECT room_id FROM room_heads ORDER BY room_id")))
        for start in range(0, len(rooms), ROOMS_AT_A_TIME):
            for statement in statements:
                bound = sa.text(statement).bindparams(sa.bindparam("rooms", expanding=True))
                op.get_bind().execute(bound, {"rooms": rooms[start : start + ROOMS_AT_A_TIME]})


def is_partitioned(table: str) -> bool:
    """Whether `roomcast migrate --partitions` has partitioned this table."""
    kind = sa.text("SELECT relkind FROM pg_class WHERE oid = to_regclass(:name)")
    return bool(op.get_bind().scalar(kind, {"name": table}) in ("p", b"p"))


def is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
