"""Counting what a request asks of the database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from roomcast.core import compiled_statements, direct_queries

IN_PASSING = ("FROM sessions", "SELECT room_heads.room_id, room_heads.last_seq", "FROM store")
"""What a process asks every second, whatever it is asked: who is still signed in, where the rooms' logs end, and which
epoch counts."""


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement that this process executes inside the block, by SQLAlchemy or straight to a driver, but those
    IN_PASSING."""
    seen: list[str] = []

    def note(statement: str) -> None:
        if not any(words in statement for words in IN_PASSING):
            seen.append(statement)

    def noted(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        note(statement)

    def planned(statement: sa.Executable, dialect: sa.Dialect, parameters: Mapping[str, Any]) -> Any:
        found = compiled_statements.compiled_statement(statement, dialect, parameters)
        note(found[0].sql)
        return found

    sa.event.listen(sa.Engine, "before_cursor_execute", noted)
    try:
        with patch.object(direct_queries, "planned", planned):
            yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", noted)
