"""Statements beside the ORM. `fetch` reads what SQLModel's `exec` has no types for; `ask`, `light` and `write` go
straight to the driver, for hot paths: SQLAlchemy's own machinery costs more there than the statement."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import Executable, Row
from sqlalchemy.ext.asyncio import AsyncSession

from roomcast.core import postgres, sqlite
from roomcast.core.compiled_statements import compiled_statement

Model = TypeVar("Model")
Driver = sqlite.Connection | postgres.Driver


class DirectQuery(NamedTuple):
    """A statement over one table. Its parameters are values, and lists of which a row matches a member: where one is
    empty there is no row, and nothing is asked."""

    statement: Executable
    parameters: Mapping[str, Any]

    @property
    def has_values(self) -> bool:
        return all(value != [] for value in self.parameters.values())


async def fetch(session: AsyncSession, statement: Executable) -> Sequence[Row[*tuple[Any, ...]]]:
    """All rows, as tuples; models where the statement selects models."""
    return (await AsyncSession.execute(session, statement)).all()


async def count(session: AsyncSession, statement: Executable) -> int:
    """The number that a counting statement answers."""
    return int((await AsyncSession.execute(session, statement)).scalar_one())


async def fetch_direct(session: AsyncSession, *questions: DirectQuery) -> list[Sequence[Any]]:
    """The rows of each, asked in this order and, where the database can, in one go. They read like the models of the
    tables and are not: never write to one."""
    driver, dialect = await _driver(session)
    asked = [question for question in questions if question.has_values]
    plans = [compiled_statement(question.statement, dialect, question.parameters) for question in asked]
    answers = await driver.fetch_all([(plan.sql, plan.arguments(parameters)) for plan, parameters in plans])
    found = iter([list(map(plan.row, rows)) for (plan, _), rows in zip(plans, answers, strict=True)])
    return [next(found) if question.has_values else () for question in questions]


def with_values(row: Model, **values: Any) -> Model:
    """A row that `ask` found, with other values in it."""
    return cast("Model", cast("Any", row)._replace(**values))


def as_dict(row: object) -> dict[str, Any]:
    """What a row that `ask` found holds, to make a model of it."""
    return cast("dict[str, Any]", cast("Any", row)._asdict())


async def fetch_direct_rows(
    session: AsyncSession, model: type[Model], statement: Executable, parameters: Mapping[str, Any]
) -> Sequence[Model]:
    """Rows of a statement over a model's table, as `ask` has them."""
    [rows] = await fetch_direct(session, DirectQuery(statement, parameters))
    return cast("Sequence[Model]", rows)


async def execute_direct(session: AsyncSession, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run an insert or update once for each of the rows, all of the same names. Where the database can, with the next
    statement or the commit, which then raises what goes wrong."""
    driver, dialect = await _driver(session)
    plan, _ = compiled_statement(statement, dialect, rows[0])
    await driver.execute_later(plan.sql, [plan.arguments(row) for row in rows])


async def _driver(session: AsyncSession) -> tuple[Driver, sa.Dialect]:
    if "driver" not in session.info:
        connection = await session.connection()
        pooled: Any = (await connection.get_raw_connection()).dbapi_connection
        sqlite_driver = connection.dialect.name == "sqlite"
        driver = pooled.driver_connection if sqlite_driver else await postgres.driver(pooled)
        session.info["driver"] = driver, connection.dialect
    found: tuple[Driver, sa.Dialect] = session.info["driver"]
    return found
