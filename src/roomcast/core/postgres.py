"""asyncpg itself, inside a transaction that SQLAlchemy ends."""

import socket
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from sqlalchemy import exc

_ERRORS = {"22": exc.DataError, "23": exc.IntegrityError, "42": exc.ProgrammingError}
"""SQLSTATE classes of errors that the statement itself causes, and SQLAlchemy's names for them."""

SETTINGS: Mapping[str, str] = {
    # Another transaction's lock delays a change by this much at the most; then it fails with a retryable error.
    "lock_timeout": "2500ms",
    "statement_timeout": "20s",
    # A process that is frozen inside a transaction loses it, and with it the locks that others wait for.
    "idle_in_transaction_session_timeout": "10s",
    # Before version 17 nothing ends a transaction whose client stops between preparing a statement and executing it.
    "transaction_timeout": "60s",
    # A client that is gone without a word is noticed by the server within about twenty seconds.
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
}
"""Of each session, where the server knows the setting."""

SOCKET_OPTIONS = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}
"""Of the client's end, where the system knows them: seconds, seconds, a number, milliseconds."""


class Driver:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch_all(self, questions: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
        """The rows of each of these statements, one after another."""
        try:
            return [await self._connection.fetch(sql, *arguments) for sql, arguments in questions]
        except Exception as error:
            _raise_as_sqlalchemy(error, questions[0][0])

    async def execute_later(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute it for each of the rows."""
        try:
            if len(rows) == 1:
                await self._connection.fetch(statement, *rows[0])
            else:
                await self._connection.executemany(statement, rows)
        except Exception as error:
            _raise_as_sqlalchemy(error, statement)


async def connect(*args: Any, **options: Any) -> Any:
    """SQLAlchemy's `async_creator_fn`: a connection with our time limits. Raises what asyncpg raises.

    The limits are set by a statement, not as start-up parameters: poolers refuse those that they do not know.
    """
    import asyncpg  # noqa: PLC0415 (not loaded where SQLite is used)

    connection = await asyncpg.connect(*args, **options)
    try:
        _set_keepalive(connection._transport)
        await connection.execute(_SET_LIMITS)
    except BaseException:
        connection.terminate()
        raise
    return connection


_SET_LIMITS = (
    "SELECT set_config(wanted.name, wanted.value, false) FROM (VALUES "  # noqa: S608 (constants of ours)
    + ", ".join(f"('{name}', '{value}')" for name, value in SETTINGS.items())
    + ") AS wanted (name, value) JOIN pg_settings USING (name)"
)


def _set_keepalive(transport: Any) -> None:
    """Notice a server that has vanished without closing its connections."""
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in SOCKET_OPTIONS.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def driver(adapted: Any) -> Driver:
    """The driver under SQLAlchemy's connection, which begins its transactions only with its own first statement."""
    if adapted._transaction is None:
        try:
            await adapted._start_transaction()
        except BaseException:  # cancelled, the server may begin all the same, and SQLAlchemy would not know
            adapted.driver_connection.terminate()
            raise
    return Driver(adapted.driver_connection)


def is_open(connection: Any) -> bool:
    return not connection.is_closed()


def is_idle(connection: Any) -> bool:
    """Whether the connection is in no transaction and will not be: no statement is under way, not even a cancelled one.
    A closed one is.

    `_top_xact` stays set when BEGIN was cancelled. The next BEGIN would be a savepoint of it, and its COMMIT no commit.
    """
    if connection.is_closed():
        return True
    return not (
        connection.is_in_transaction() or connection._top_xact is not None or connection._protocol._is_cancelling()
    )


def _raise_as_sqlalchemy(error: Exception, statement: str) -> NoReturn:
    """Raise the database's errors as SQLAlchemy has them; a lost connection stays what it is."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        raise error
    raise _ERRORS.get(state[:2], exc.OperationalError)(statement, None, error) from error
