"""Counting what a request asks of the database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from roomcast.core import plans, rows


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement that any engine of this process executes inside the block, and that goes straight to a driver."""
    seen: list[str] = []

    def noted(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        seen.append(statement)

    def planned(statement: sa.Executable, dialect: sa.Dialect, parameters: Mapping[str, Any]) -> Any:
        found = plans.planned(statement, dialect, parameters)
        seen.append(found[0].sql)
        return found

    sa.event.listen(sa.Engine, "before_cursor_execute", noted)
    try:
        with patch.object(rows, "planned", planned):
            yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", noted)
