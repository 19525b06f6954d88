"""Rows of Core statements: SQLModel's `exec` is typed for its own selects only and warns of `execute`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Executable, Row
from sqlalchemy.ext.asyncio import AsyncSession


async def fetch(session: AsyncSession, statement: Executable) -> Sequence[Row[*tuple[Any, ...]]]:
    """All of them, as tuples."""
    return (await AsyncSession.execute(session, statement)).all()


async def count(session: AsyncSession, statement: Executable) -> int:
    """The number that a counting statement answers."""
    return int((await AsyncSession.execute(session, statement)).scalar_one())
