"""An aiosqlite connection with few calls to its thread: a thread switch costs more than most of our statements.

By default SQLAlchemy makes four calls for a statement: cursor, execute, fetch and close. Here

- a statement returns with its rows in one call,
- BEGIN runs in the call of the first statement,
- writes through `execute_later` run in the call of the next statement, at the latest in that of the commit,
- a rollback is queued and not waited for.

A step whose task is cancelled still runs in the thread. It is interrupted, and the rollback is queued behind it.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Self, TypeVar
from weakref import WeakSet

import aiosqlite
from sqlalchemy.exc import DBAPIError

from roomcast.core.text_folding import letter_pairs

T = TypeVar("T")
Step = Callable[[sqlite3.Connection], T]


class Cursor:
    """The rows of the last statement. Has only the members of a cursor that SQLAlchemy uses."""

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
    """A connection that runs one transaction after another. `fetch_all` and `execute_later` bypass SQLAlchemy."""

    _deferred_steps: list[Step[object]]
    """Steps that the next call to the thread runs before its own."""
    _in_transaction = False
    """Whether a transaction is open once all steps that were sent to the thread have run."""

    def cursor(self) -> Any:
        return Cursor(self)

    async def create_function(self, *definition: Any, **options: Any) -> None:
        """Define a function before the next statement, without a wait. SQLAlchemy calls it for each new connection, and
        would drop the connection without closing it if the task were cancelled there."""
        self._tx.put_nowait((None, partial(self._conn.create_function, *definition, **options)))

    def begin(self, statement: str) -> None:
        """Begin a transaction together with its first statement, which raises if another process has locked
        the file. In a transaction that has been begun, it does nothing."""
        if not self._in_transaction and not self._deferred_steps:
            self._deferred_steps = [partial(_begin, statement)]

    async def execute_later(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement for each row, together with the next statement or the commit, which raises its errors."""
        self._deferred_steps.append(lambda connection: connection.executemany(statement, rows))

    async def fetch_all(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
        """The rows of each of these statements. Raises SQLAlchemy's errors."""
        try:
            return await self.in_thread(lambda raw: [raw.execute(*statement).fetchall() for statement in statements])
        except sqlite3.Error as error:
            raise DBAPIError.instance(statements[0][0], None, error, sqlite3.Error) from error

    async def in_thread(self, step: Step[T]) -> T:
        """Run the deferred steps and then this one in the connection's thread."""
        before, self._deferred_steps, self._in_transaction = self._deferred_steps, [], True
        try:
            return await self._execute(partial(_run, self._conn, before, step))  # type: ignore[no-any-return,no-untyped-call]
        except asyncio.CancelledError:
            if self._connection is not None:
                self._connection.interrupt()  # else the next user of the connection waits for a statement nobody needs
            raise

    async def commit(self) -> None:
        if self._in_transaction or len(self._deferred_steps) > 1:
            await self.in_thread(sqlite3.Connection.commit)
        self._deferred_steps, self._in_transaction = [], False

    async def commit_direct(self) -> None:
        """As `commit`. Raises SQLAlchemy's errors."""
        try:
            await self.commit()
        except sqlite3.Error as error:
            raise DBAPIError.instance("COMMIT", None, error, sqlite3.Error) from error

    async def rollback(self) -> None:
        self.queue_rollback()

    def queue_rollback(self) -> None:
        """Roll back behind the steps that were sent to the thread."""
        self._deferred_steps = []
        if self._in_transaction:
            self._in_transaction = False
            self._tx.put_nowait((None, self._conn.rollback))


def is_open(connection: Connection) -> bool:
    return connection._connection is not None


def is_idle(connection: Connection) -> bool:
    """Whether no transaction is open once all steps that were sent to the thread have run."""
    return not connection._in_transaction


def _begin(statement: str, connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # the last rollback failed: it was not waited for
        connection.rollback()
    connection.execute(statement)


def _run(connection: sqlite3.Connection, before: Sequence[Step[object]], step: Step[T]) -> T:
    for earlier in before:
        earlier(connection)
    return step(connection)


def _results(step: Callable[[sqlite3.Cursor], Any], connection: sqlite3.Connection) -> tuple[sqlite3.Cursor, list[Any]]:
    cursor = connection.cursor()
    step(cursor)
    return cursor, cursor.fetchall() if cursor.description else []


def copy(path: Path, target: Path) -> None:
    """Copy a consistent state of the database while others write. Raises sqlite3.Error, FileExistsError."""
    if target.exists():
        raise FileExistsError(target)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source:
        source.execute("VACUUM INTO ?", (str(target),))


def find_damage(path: Path, seconds: float) -> str | None:
    """What is wrong with the structure of the file; None if nothing was found in this time."""
    end = time.monotonic() + seconds
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            file.set_progress_handler(lambda: time.monotonic() > end, 100_000)
            [(found,)] = file.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError:  # the time is over, or somebody else has locked the file
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else str(found).splitlines()[-1]


def add_functions(connection: Any) -> None:
    """Define the functions that triggers call. A connection without them can read everything, and change all but the
    texts of messages: "no such function"."""
    connection.create_function("letter_pairs", 1, letter_pairs, deterministic=True)


END_SECONDS = 2.0
"""How long a thread may take for its last statement, when its database is closed."""

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=2500",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-65536",
    "PRAGMA journal_size_limit=67108864",
)


async def connect(path: str, *, threads: WeakSet[Thread], is_reader: bool = False, **options: Any) -> Connection:
    """SQLAlchemy's `async_creator_fn`. The connection's thread is added to `threads`. It is a daemon, so that it does
    not keep a stopping process alive.

    The pragmas are set in the thread, in the same step that opens the file: between the two, a cancelled task would
    leave a connection without them. If the task is cancelled, the file is closed again before this raises.
    """

    def open_file() -> sqlite3.Connection:
        file: sqlite3.Connection = sqlite3.connect(path, **options)
        file.isolation_level = None  # the driver must not begin transactions by itself
        for pragma in (*PRAGMAS, *(["PRAGMA query_only=ON"] if is_reader else [])):
            file.execute(pragma)
        add_functions(file)
        return file

    connection = Connection(open_file, iter_chunk_size=64)
    connection._deferred_steps = []
    connection._thread.daemon = True
    threads.add(connection._thread)
    opening = asyncio.ensure_future(_opened(connection))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening])  # the thread must not outlive the event loop to which it answers
        if opening.exception() is None:
            await connection.close()
        raise


async def wait_for_threads(threads: WeakSet[Thread]) -> None:
    """Wait for the threads of closed connections to end, for at most END_SECONDS each.

    A connection whose task was cancelled is closed without a wait. Its thread would report to an event loop that is
    closed by then.
    """
    for thread in list(threads):
        await asyncio.to_thread(thread.join, END_SECONDS)


async def _opened(connection: Connection) -> Connection:
    await connection
    return connection
