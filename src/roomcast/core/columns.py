"""Column types that behave the same on SQLite and PostgreSQL.

SQLModel's own `int` is 32 bits wide on PostgreSQL, and SQLite drops time zones. Code that uses them passes its tests on
one database and breaks on the other, so tables use the types of this module instead.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

CACHED_IDS = 10_000
"""Ids of SQLite whose UUIDs are in the cache."""


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC time: `timestamptz` on PostgreSQL, a UTC text without a zone on SQLite. Raises ValueError for naive
    values."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """Page cursors need it, and a TypeDecorator has none by itself."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the database stores no datetime without a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """SQLite's texts are read in one step; asyncpg's times are aware and in UTC."""
        return _read_time if dialect.name == "sqlite" else None


def _read_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(f"{text}+00:00")


class Id(sa.Uuid[UUID]):
    """A UUID. SQLite stores it as text; a page repeats the same few ids, so parsed ones are cached."""

    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        return _read_id if dialect.name == "sqlite" else None


@lru_cache(maxsize=CACHED_IDS)
def _read_id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

# SQLModel's Field has no precise type of its own to partially apply.
IdField: Any = partial(Field, sa_type=Id)
TimeField: Any = partial(Field, sa_type=UTCDateTime)
TextField: Any = partial(Field, sa_type=sa.Text)


def SeqField(**options: Any) -> Any:  # noqa: N802 (reads as the field it makes)
    """A 64-bit sequence number, 0 by default."""
    options.setdefault("sa_column_kwargs", {}).setdefault("server_default", sa.text("0"))
    options["sa_column_kwargs"].setdefault("autoincrement", False)
    return Field(default=options.pop("default", 0), sa_type=sa.BigInteger, **options)


def FlagField(**options: Any) -> Any:  # noqa: N802
    """A boolean, False by default. `sa.false()` as a server default compares unequal on one of the databases."""
    return Field(default=False, sa_column_kwargs={"server_default": sa.text("false")}, **options)


def table(model: type[SQLModel]) -> sa.Table:
    """The Core table of a model, for statements on hot paths."""
    found: sa.Table = model.__table__  # type: ignore[attr-defined]
    return found


def higher(one: sa.ColumnElement[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The higher of two numbers. The databases have different functions for it."""
    return sa.case((one > other, one), else_=other)


def among(columns: Sequence[sa.SQLColumnExpression[Any]], keys: Collection[tuple[Any, ...]]) -> sa.ColumnElement[bool]:
    """The condition that these columns together equal one of the keys."""
    # SQLite uses no index for tuples and would read the whole table. It uses one for a condition on a single column.
    each = [column.in_({key[index] for key in keys}) for index, column in enumerate(columns)]
    return sa.and_(sa.tuple_(*columns).in_(keys), *each)
