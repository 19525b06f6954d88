"""Statements beside the ORM. `fetch` reads what SQLModel's `exec` has no types for; `light` and `write` go straight to
the connection, for hot paths: a session's own machinery costs more there than the statement."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import Executable, Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

Model = TypeVar("Model")


async def fetch(session: AsyncSession, statement: Executable) -> Sequence[Row[*tuple[Any, ...]]]:
    """All rows, as tuples; models where the statement selects models."""
    return (await AsyncSession.execute(session, statement)).all()


async def count(session: AsyncSession, statement: Executable) -> int:
    """The number that a counting statement answers."""
    return int((await AsyncSession.execute(session, statement)).scalar_one())


async def light(
    session: AsyncSession, model: type[Model], statement: Executable, parameters: Mapping[str, Any]
) -> Sequence[Model]:
    """Rows of a statement over a model's table: they read like the model and are not; never write to one."""
    rows = (await (await _connection(session)).execute(statement, parameters)).all()
    return cast("Sequence[Model]", rows)


async def write(session: AsyncSession, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run an insert or update once for each of the rows."""
    await (await _connection(session)).execute(statement, rows)


async def _connection(session: AsyncSession) -> AsyncConnection:
    if "connection" not in session.info:
        session.info["connection"] = await session.connection()
    found: AsyncConnection = session.info["connection"]
    return found
