"""Counting what a request asks of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement that any engine of this process executes inside the block."""
    seen: list[str] = []

    def noted(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", noted)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", noted)
