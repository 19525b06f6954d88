"""Reads by key: what a loader collects the keys for, as one direct query."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from roomcast.core.direct_queries import DirectQuery, DirectRead, read_direct
from roomcast.core.records import record_columns

Key = TypeVar("Key")
Value = TypeVar("Value")
Model = TypeVar("Model", bound=SQLModel)


@dataclass(frozen=True, slots=True)
class KeyedRead(Generic[Key, Value]):
    """`query` finds the rows of these keys. `collect` returns the values of these rows by key; keys without a value are
    left out. Call it to read the values of some keys in a session."""

    query: Callable[[Collection[Key]], DirectQuery[Any]]
    collect: Callable[[Sequence[Any]], dict[Key, Value]]

    def of(self, keys: Collection[Key]) -> DirectRead[dict[Key, Value]]:
        return DirectRead([self.query(keys)], self.collect)

    async def __call__(self, session: AsyncSession, keys: Collection[Key]) -> dict[Key, Value]:
        return await read_direct(session, self.of(keys))


def records_by(model: type[Model], record: type[Model], *columns: str) -> KeyedRead[Any, Model]:
    """Reads records by a key: the value of one column, or a tuple of those of several."""
    statement = sa.select(*record_columns(record, model)).where(is_key([getattr(model, name) for name in columns]))
    key_of = attrgetter(*columns)
    return KeyedRead(
        lambda keys: DirectQuery(statement, key_parameters(keys), record),
        lambda rows: {key_of(row): row for row in rows},
    )


def is_key(columns: Sequence[sa.SQLColumnExpression[Any]], *, searched: int | None = None) -> sa.ColumnElement[bool]:
    """The condition that these columns equal one of the keys. `key_parameters` has its parameters.

    `searched`: the number of the first columns by which SQLite may search the table; None for all.
    """
    keys: sa.BindParameter[Any] = sa.bindparam("keys", expanding=True)
    if len(columns) == 1:
        return columns[0].in_(keys)
    # SQLite uses no index for tuples and would read the whole table. It uses one for a condition on a single column.
    each = [
        column.in_(sa.bindparam(f"keys_{number}", expanding=True)) for number, column in enumerate(columns[:searched])
    ]
    return sa.and_(sa.tuple_(*columns).in_(keys), *each)


def key_parameters(keys: Collection[Any]) -> dict[str, list[Any]]:
    parameters = {"keys": list(keys)}
    if keys and isinstance(parameters["keys"][0], tuple):
        for number, values in enumerate(zip(*keys, strict=True)):
            parameters[f"keys_{number}"] = list(set(values))
    return parameters


def group_pairs(rows: Sequence[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """The second values of the rows by their first values, in order."""
    found: dict[Key, list[Value]] = {}
    for key, value in rows:
        found.setdefault(key, []).append(value)
    return found
