"""Records which SQL statements a block executes, so that a test can count them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from roomcast.core import compiled_statements, direct_queries

BACKGROUND = ("FROM sessions", "SELECT room_heads.room_id, room_heads.last_seq", "FROM store", "pg_walfile_name")
"""Parts of the statements that each process executes every second: ended sessions, log tails, the epoch, PostgreSQL's
timeline."""


@contextmanager
def statements() -> Iterator[list[str]]:
    """All statements that this process executes inside the block, through SQLAlchemy or a driver, except BACKGROUND."""
    executed: list[str] = []

    def record(statement: str) -> None:
        if not any(part in statement for part in BACKGROUND):
            executed.append(statement)

    def before_cursor_execute(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        record(statement)

    def recording(statement: sa.Executable, dialect: sa.Dialect, parameters: Mapping[str, Any], *rest: Any) -> Any:
        found = compiled_statements.compiled_statement(statement, dialect, parameters, *rest)
        record(found[0].sql)
        return found

    sa.event.listen(sa.Engine, "before_cursor_execute", before_cursor_execute)
    try:
        with patch.object(direct_queries, "compiled_statement", recording):
            yield executed
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", before_cursor_execute)
