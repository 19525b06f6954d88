"""aiosqlite with few trips to its thread: a switch between threads costs more than most of our statements.

Stock, SQLAlchemy asks for a cursor, executes, fetches and closes: four trips. Here the cursor carries its rows back
from one, a transaction begins with its first question, changes whose outcome nobody waits for travel with what comes
next (the commit at the latest), and nobody waits for a rollback.

A step whose task is cancelled still runs in the thread. It is interrupted, and the rollback is queued behind it.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")
Step = Callable[[sqlite3.Connection], T]


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
        cursor, self._rows = await self._connection.in_thread(partial(_results, step))
        self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid


class Connection(aiosqlite.Connection):
    """One transaction after another; `ask` and `change` are for those who know what they do to a driver."""

    _deferred_steps: list[Step[object]]
    """What the next trip does before its own errand."""
    _in_transaction = False
    """Whether a transaction has begun in the thread, or will have, once what was sent there has run."""

    def cursor(self) -> Any:
        return Cursor(self)

    def begin(self, words: str) -> None:
        """Begin a transaction with its first statement. (Raised there: that another process has locked the file.)"""
        self._deferred_steps = [partial(_begin, words)]

    async def execute_later(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute it for each of the rows, with the next statement or the commit, which raises what goes wrong."""
        self._deferred_steps.append(lambda connection: connection.executemany(statement, rows))

    async def fetch_all(self, questions: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
        """The rows of each of these statements. Raises SQLAlchemy's errors."""
        try:
            return await self.in_thread(lambda open_: [open_.execute(*asked).fetchall() for asked in questions])
        except sqlite3.Error as error:
            raise DBAPIError.instance(questions[0][0], None, error, sqlite3.Error) from error

    async def in_thread(self, step: Step[T]) -> T:
        before, self._deferred_steps, self._in_transaction = self._deferred_steps, [], True
        try:
            return await self._execute(partial(_run, self._conn, before, step))  # type: ignore[no-any-return,no-untyped-call]
        except asyncio.CancelledError:
            if self._connection is not None:
                self._connection.interrupt()  # else the connection's next user waits for a statement that nobody needs
            raise

    async def commit(self) -> None:
        if self._in_transaction or len(self._deferred_steps) > 1:
            await self.in_thread(sqlite3.Connection.commit)
        self._deferred_steps, self._in_transaction = [], False

    async def rollback(self) -> None:
        self._deferred_steps = []
        if self._in_transaction:
            self._in_transaction = False
            self._tx.put_nowait((None, self._conn.rollback))


def is_open(connection: Connection) -> bool:
    return connection._connection is not None


def is_idle(connection: Connection) -> bool:
    """Whether the connection is in no transaction, once what was sent to its thread has run."""
    return not connection._in_transaction


def _begin(words: str, connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # nobody waited for the last rollback, so nobody knows that it failed
        connection.rollback()
    connection.execute(words)


def _run(connection: sqlite3.Connection, before: Sequence[Step[object]], step: Step[T]) -> T:
    for waiting in before:
        waiting(connection)
    return step(connection)


def _results(step: Callable[[sqlite3.Cursor], Any], connection: sqlite3.Connection) -> tuple[sqlite3.Cursor, list[Any]]:
    cursor = connection.cursor()
    step(cursor)
    return cursor, cursor.fetchall() if cursor.description else []


def copy(path: Path, target: Path) -> None:
    """Copy the database as it is at one moment, while others write. Raises sqlite3.Error, FileExistsError."""
    if target.exists():
        raise FileExistsError(target)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source:
        source.execute("VACUUM INTO ?", (str(target),))


def connect(path: str, **options: Any) -> Connection:
    """SQLAlchemy's `async_creator_fn`. Its thread never keeps a stopping process alive."""
    connection = Connection(lambda: sqlite3.connect(path, **options), iter_chunk_size=64)
    connection._deferred_steps = []
    connection._thread.daemon = True
    return connection
