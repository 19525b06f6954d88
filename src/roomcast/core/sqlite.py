"""aiosqlite with one trip to its thread for a statement instead of four.

Stock, SQLAlchemy asks for a cursor, executes, fetches and closes: four switches between threads, which cost more than
most of our statements. Here the cursor carries its rows back from the one trip.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import aiosqlite


class Cursor:
    """The results of the last statement. What SQLAlchemy asks of a cursor, and no more."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Self:
        await self._run(lambda cursor: cursor.execute(statement, parameters))
        return self

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Self:
        await self._run(lambda cursor: cursor.executemany(statement, parameters))
        return self

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        self._rows = []

    async def _run(self, step: Callable[[sqlite3.Cursor], Any]) -> None:
        cursor, self._rows = await self._connection.in_thread(step)
        self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid


class Connection(aiosqlite.Connection):
    def cursor(self) -> Any:
        return Cursor(self)

    async def in_thread(self, step: Callable[[sqlite3.Cursor], Any]) -> tuple[sqlite3.Cursor, list[Any]]:
        return await self._execute(partial(_run, self._conn, step))  # type: ignore[no-any-return,no-untyped-call]


def _run(connection: sqlite3.Connection, step: Callable[[sqlite3.Cursor], Any]) -> tuple[sqlite3.Cursor, list[Any]]:
    cursor = connection.cursor()
    step(cursor)
    return cursor, cursor.fetchall() if cursor.description else []


def connect(path: str, **options: Any) -> Connection:
    """SQLAlchemy's `async_creator_fn`. Its thread never keeps a stopping process alive."""
    connection = Connection(lambda: sqlite3.connect(path, **options), iter_chunk_size=64)
    connection._thread.daemon = True
    return connection
