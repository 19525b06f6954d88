"""Statements that go past SQLAlchemy's ORM.

`fetch` and `count` run statements that SQLModel's `exec` has no types for. `fetch_direct` and `execute_direct` go
straight to the database driver. They are for hot paths, where SQLAlchemy's own work costs more than the statement.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import Executable, Row
from sqlalchemy.ext.asyncio import AsyncSession

from roomcast.core import postgres, sqlite
from roomcast.core.compiled_statements import compiled_statement
from roomcast.core.metrics import DATABASE

DirectRow = TypeVar("DirectRow")
DirectRow_co = TypeVar("DirectRow_co", covariant=True)
Driver = sqlite.Connection | postgres.Driver


class DirectQuery(NamedTuple, Generic[DirectRow_co]):
    """A statement over one table. `DirectRow_co` is the read-only type of its rows, e.g. `rooms.models.RoomRow`.

    Its parameters are single values, and lists of which a row matches any member. A query with an empty list matches
    no row and is not sent.
    """

    statement: Executable
    parameters: Mapping[str, Any]

    @property
    def has_values(self) -> bool:
        """Whether no list is empty."""
        return all(value != [] for value in self.parameters.values())


async def fetch(
    session: AsyncSession, statement: Executable, parameters: Mapping[str, Any] | None = None
) -> Sequence[Row[*tuple[Any, ...]]]:
    """All rows of a statement as tuples, with models in them where the statement selects models."""
    return (await AsyncSession.execute(session, statement, parameters)).all()


async def count(session: AsyncSession, statement: Executable) -> int:
    """The number that a counting statement returns."""
    return int((await AsyncSession.execute(session, statement)).scalar_one())


async def fetch_direct(session: AsyncSession, *queries: DirectQuery[Any]) -> list[Sequence[Any]]:
    """The rows of each query, in the order of the queries. SQLite runs them in one call to its thread.

    A row is a named tuple with the selected columns. It can be read like a model but not written: annotate it with the
    row type of the query.
    """
    driver, dialect = await _driver(session)
    sent = [query for query in queries if query.has_values]
    statements = [compiled_statement(query.statement, dialect, query.parameters) for query in sent]
    DATABASE.statements += len(statements)
    results = await driver.fetch_all([(compiled.sql, compiled.arguments(values)) for compiled, values in statements])
    found = iter([list(map(compiled.make_row, rows)) for (compiled, _), rows in zip(statements, results, strict=True)])
    return [next(found) if query.has_values else () for query in queries]


async def fetch_direct_rows(session: AsyncSession, query: DirectQuery[DirectRow]) -> Sequence[DirectRow]:
    """The rows of one query. They cannot be written."""
    [rows] = await fetch_direct(session, query)
    return cast("Sequence[DirectRow]", rows)


def with_values(row: DirectRow, **values: Any) -> DirectRow:
    """A copy of a row that `fetch_direct` returned, with other values in some columns."""
    return cast("DirectRow", cast("Any", row)._replace(**values))


def as_dict(row: object) -> dict[str, Any]:
    """The columns of a row that `fetch_direct` returned, e.g. to make a model of it."""
    return cast("dict[str, Any]", cast("Any", row)._asdict())


async def execute_direct(session: AsyncSession, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run an insert or update once for each of the rows, which all have the same keys.

    SQLite sends it with the next statement or the commit, which then raises its errors. PostgreSQL runs it now.
    """
    driver, dialect = await _driver(session)
    compiled, _ = compiled_statement(statement, dialect, rows[0])
    DATABASE.statements += 1
    await driver.execute_later(compiled.sql, [compiled.arguments(row) for row in rows])


async def _driver(session: AsyncSession) -> tuple[Driver, sa.Dialect]:
    if "driver" not in session.info:
        connection = await session.connection()
        pooled: Any = (await connection.get_raw_connection()).dbapi_connection
        sqlite_driver = connection.dialect.name == "sqlite"
        driver = pooled.driver_connection if sqlite_driver else await postgres.driver(pooled)
        session.info["driver"] = driver, connection.dialect
    found: tuple[Driver, sa.Dialect] = session.info["driver"]
    return found
