"""Direct access to asyncpg, inside a transaction that SQLAlchemy ends, and the time limits of our connections."""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, NoReturn

from sqlalchemy import exc

from roomcast.database_urls import PostgresUrl

_ERRORS = {"22": exc.DataError, "23": exc.IntegrityError, "42": exc.ProgrammingError}
"""SQLSTATE classes of errors that the statement itself causes, and SQLAlchemy's names for them."""

SETTINGS: Mapping[str, str] = {
    # The longest wait for another transaction's lock. After it the change fails with a retryable error.
    "lock_timeout": "2500ms",
    "statement_timeout": "20s",
    # A process that freezes inside a transaction loses it, which releases the locks that others wait for.
    "idle_in_transaction_session_timeout": "10s",
    # Only from version 17 on. Nothing else ends a transaction whose client stops between preparing and executing.
    "transaction_timeout": "60s",
    # Counts of unread messages are estimated to be dear and are cheap: compiling them took 0.6 s, running them 10 ms.
    "jit": "off",
    # The server notices within about twenty seconds that a client has vanished without closing its connection.
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
}
"""Settings of each session, as far as the server knows them."""

OF_TRANSACTIONS = (
    "lock_timeout",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
    "jit",
)
"""Those of the settings that each transaction sets for itself behind a pooler."""

SINCE_VERSION = {"transaction_timeout": 17}

SOCKET_OPTIONS = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}
"""Options of the client's socket, as far as the system knows them: seconds, seconds, a count, milliseconds."""


class Driver:
    """Runs statements on an asyncpg connection and raises SQLAlchemy's errors. `adapted`: SQLAlchemy's connection above
    it."""

    def __init__(self, adapted: Any) -> None:
        self._adapted, self._connection = adapted, adapted.driver_connection

    @property
    def is_in_transaction(self) -> bool:
        return self._adapted._transaction is not None

    async def commit_direct(self) -> None:
        """Commit the transaction, if it is still open."""
        transaction, self._adapted._transaction = self._adapted._transaction, None
        if transaction is not None:
            try:
                await transaction.commit()
            except Exception as error:
                _raise_as_sqlalchemy(error, "COMMIT")

    async def fetch_all(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
        """The rows of each of these statements, one after another."""
        try:
            return [await self._connection.fetch(sql, *arguments) for sql, arguments in statements]
        except Exception as error:
            _raise_as_sqlalchemy(error, statements[0][0])

    async def execute_later(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement for each row. Unlike SQLite's, it runs at once."""
        try:
            if len(rows) == 1:
                await self._connection.fetch(statement, *rows[0])
            else:
                await self._connection.executemany(statement, rows)
        except Exception as error:
            _raise_as_sqlalchemy(error, statement)


async def connect(*args: Any, is_pooled: bool = False, **options: Any) -> Any:
    """SQLAlchemy's `async_creator_fn`: a connection with our time limits. Raises what asyncpg raises.

    A statement sets the limits. Start-up parameters would not work with poolers, which refuse unknown ones.
    `is_pooled`: a pooler gives each transaction another connection of the database, so each transaction sets its
    limits.
    """
    import asyncpg  # noqa: PLC0415 (not loaded with SQLite)

    kind = _pooled_connection_class() if is_pooled else asyncpg.Connection
    connection: Any = await asyncpg.connect(*args, connection_class=kind, **options)
    try:
        _set_keepalive(connection._transport)
        if not is_pooled:
            await connection.execute(_SET_LIMITS)
    except BaseException:
        connection.terminate()
        raise
    return connection


@cache
def _pooled_connection_class() -> type:
    import asyncpg  # noqa: PLC0415 (not loaded with SQLite)

    class PooledConnection(asyncpg.Connection):
        """A connection through a pooler. Its BEGIN also sets the limits of the transaction, in the same message."""

        __slots__ = ()

        async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
            if query.startswith("BEGIN"):
                query = f"{query.rstrip(';')}; {_limits_of_transactions(self.get_server_version().major)}"
            return str(await super().execute(query, *args, timeout=timeout))

    return PooledConnection


@cache
def _limits_of_transactions(version: int) -> str:
    names = [name for name in OF_TRANSACTIONS if version >= SINCE_VERSION.get(name, 0)]
    return " ".join(f"SET LOCAL {name} = '{SETTINGS[name]}';" for name in names)


ROUNDS = 10
"""How often each of two connections asks which process of the database serves it."""


async def is_behind_transaction_pooler(address: PostgresUrl) -> bool:
    """Whether a pooler lets several clients use one connection of the database in turn, as pgbouncer does with
    `pool_mode = transaction` and `statement`. Raises what asyncpg raises."""
    async with _connected(address) as one:
        if await _serving_process(one) == one.get_server_pid():
            return False  # nothing is in between: a pooler sends its own key for cancellations, not the database's
        async with _connected(address) as other:
            pids = [{await _serving_process(each) for _ in range(ROUNDS)} for each in (one, other)]
    return not pids[0].isdisjoint(pids[1])


@asynccontextmanager
async def _connected(address: PostgresUrl) -> AsyncIterator[Any]:
    import asyncpg  # noqa: PLC0415 (not loaded with SQLite)

    options = {"timeout": 5, "command_timeout": 5, **address.options, "statement_cache_size": 0}
    connection = await asyncpg.connect(address.dsn, **options)
    try:
        yield connection
    finally:
        connection.terminate()


async def _serving_process(connection: Any) -> int:
    async with connection.transaction():  # keeps the statement and its execution on one connection of the database
        return int(await connection.fetchval("SELECT pg_backend_pid()"))


_SET_LIMITS = (
    "SELECT set_config(wanted.name, wanted.value, false) FROM (VALUES "  # noqa: S608 (our constants)
    + ", ".join(f"('{name}', '{value}')" for name, value in SETTINGS.items())
    + ") AS wanted (name, value) JOIN pg_settings USING (name)"
)


def _set_keepalive(transport: Any) -> None:
    """Set TCP keepalive, to notice a server that has vanished without closing its connections."""
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in SOCKET_OPTIONS.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def driver(adapted: Any) -> Driver:
    """The driver below SQLAlchemy's connection, inside a transaction. It is begun here, because SQLAlchemy begins one
    only with a statement of its own."""
    if adapted._transaction is None:
        try:
            await adapted._start_transaction()
        except BaseException:  # after a cancellation the server may have begun it all the same, unknown to SQLAlchemy
            adapted.driver_connection.terminate()
            raise
    return Driver(adapted)


async def begin_snapshot(adapted: Any) -> Driver:
    """The driver below SQLAlchemy's connection, in a read-only transaction in which all statements see one state.

    SQLAlchemy's connection joins it and ends it. If this raises, the transaction may have begun: close the connection.
    """
    transaction = adapted.driver_connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    adapted._transaction = transaction
    return Driver(adapted)


def is_open(connection: Any) -> bool:
    return not connection.is_closed()


def is_idle(connection: Any) -> bool:
    """Whether the connection has no open transaction and no running statement, not even a cancelled one. True if it is
    closed.

    `_top_xact` stays set when BEGIN was cancelled. asyncpg would turn the next BEGIN into a savepoint of that
    transaction, and its COMMIT would commit nothing.
    """
    if connection.is_closed():
        return True
    return not (
        connection.is_in_transaction() or connection._top_xact is not None or connection._protocol._is_cancelling()
    )


def _raise_as_sqlalchemy(error: Exception, statement: str) -> NoReturn:
    """Raise a database error as SQLAlchemy's class for it. Connection errors are raised unchanged."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        raise error
    raise _ERRORS.get(state[:2], exc.OperationalError)(statement, None, error) from error
