"""Statements that go past SQLAlchemy's ORM.

`fetch` and `count` run statements that SQLModel's `exec` has no types for. `fetch_direct` and `execute_direct` go
straight to the database driver. They are for hot paths, where SQLAlchemy's own work costs more than the statement.

A `DirectRead` is queries with what becomes of their rows. `read_together` runs several of them: with SQLite, the
queries of one call are one trip to its thread, which costs more than most of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import Executable, Row
from sqlalchemy.exc import ResourceClosedError
from sqlalchemy.ext.asyncio import AsyncSession

from roomcast.core import postgres
from roomcast.core.compiled_statements import Record, compiled_statement
from roomcast.core.driver_sessions import Driver, DriverSession
from roomcast.core.metrics import DATABASE

DirectRow = TypeVar("DirectRow")
DirectRow_co = TypeVar("DirectRow_co", covariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class DirectQuery(NamedTuple, Generic[DirectRow_co]):
    """A statement. `DirectRow_co` is the read-only type of its rows, e.g. `rooms.models.RoomRow`.

    Its parameters are single values, and lists of which a row matches any member. A query with an empty list matches
    no row and is not sent.

    `record`: the class of the rows, from `core.records`. Several classes: a row is a tuple of a record of each, which
    is None if its first column is null, and of the remaining columns. None: a named tuple of the selected columns.
    """

    statement: Executable
    parameters: Mapping[str, Any]
    record: Record = None

    @property
    def has_values(self) -> bool:
        """Whether no list is empty."""
        return all(value != [] for value in self.parameters.values())


@dataclass(frozen=True, slots=True)
class DirectRead(Generic[Result_co]):
    """Queries, and the function that makes the result of their rows: it is called with the rows of each query."""

    queries: Sequence[DirectQuery[Any]]
    finish: Callable[..., Result_co]


async def fetch(session: AsyncSession, statement: Executable) -> Sequence[Row[*tuple[Any, ...]]]:
    """All rows of a statement as tuples, with models in them where the statement selects models."""
    return (await AsyncSession.execute(session, statement)).all()


async def count(session: AsyncSession, statement: Executable) -> int:
    """The number that a counting statement returns."""
    return int((await AsyncSession.execute(session, statement)).scalar_one())


async def fetch_direct(session: AsyncSession, *queries: DirectQuery[Any]) -> list[Sequence[Any]]:
    """The rows of each query, in the order of the queries. SQLite runs them in one call to its thread.

    A row is a named tuple with the selected columns. It can be read like a model but not written: annotate it with the
    row type of the query.
    """
    sent = [query for query in queries if query.has_values]
    if not sent:
        return [()] * len(queries)
    driver, dialect = await _driver(session)
    statements = [compiled_statement(query.statement, dialect, query.parameters, query.record) for query in sent]
    DATABASE.statements += len(statements)
    results = await driver.fetch_all([(compiled.sql, compiled.arguments(values)) for compiled, values in statements])
    found = iter([compiled.make_rows(rows) for (compiled, _), rows in zip(statements, results, strict=True)])
    return [next(found) if query.has_values else () for query in queries]


async def read_direct(session: AsyncSession, read: DirectRead[DirectRow]) -> DirectRow:
    """The result of this read."""
    return read.finish(*await fetch_direct(session, *read.queries))


async def read_together(session: AsyncSession, *reads: DirectRead[Any]) -> list[Any]:
    """The results of these reads. All rows are read before the first result is made, and what a read raises is raised
    in the order of the reads: a read that checks a right comes first."""
    rows = iter(await fetch_direct(session, *(query for read in reads for query in read.queries)))
    return [read.finish(*islice(rows, len(read.queries))) for read in reads]


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
    if isinstance(session, DriverSession):
        if session.driver is None:
            raise ResourceClosedError("the transaction has ended")
        return session.driver, session.dialect
    if "driver" not in session.info:
        connection = await session.connection()
        pooled: Any = (await connection.get_raw_connection()).dbapi_connection
        sqlite_driver = connection.dialect.name == "sqlite"
        driver = pooled.driver_connection if sqlite_driver else await postgres.driver(pooled)
        session.info["driver"] = driver, connection.dialect
    found: tuple[Driver, sa.Dialect] = session.info["driver"]
    return found
