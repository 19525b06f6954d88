"""asyncpg itself, inside a transaction that SQLAlchemy ends."""

from collections.abc import Sequence
from typing import Any, NoReturn

from sqlalchemy import exc

_ERRORS = {"22": exc.DataError, "23": exc.IntegrityError, "42": exc.ProgrammingError}
"""SQLAlchemy's names for the classes of SQLSTATE that are the statement's own fault."""


class Driver:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def ask(self, questions: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
        """The rows of each of these statements, one after another."""
        try:
            return [await self._connection.fetch(sql, *arguments) for sql, arguments in questions]
        except Exception as error:
            _translated(error, questions[0][0])

    async def change(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute it for each of the rows."""
        try:
            if len(rows) == 1:
                await self._connection.fetch(statement, *rows[0])
            else:
                await self._connection.executemany(statement, rows)
        except Exception as error:
            _translated(error, statement)


async def driver(adapted: Any) -> Driver:
    """The driver under SQLAlchemy's connection, which begins its transactions only with its own first statement."""
    if adapted._transaction is None:
        await adapted._start_transaction()
    return Driver(adapted.driver_connection)


def _translated(error: Exception, statement: str) -> NoReturn:
    """Raise the database's errors as SQLAlchemy has them; a lost connection stays what it is."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        raise error
    raise _ERRORS.get(state[:2], exc.OperationalError)(statement, None, error) from error
