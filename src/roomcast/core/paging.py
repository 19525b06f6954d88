"""Keyset pagination in both directions. A page starts after the sort key of a row, so new rows never shift it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.direct_queries import DirectQuery, DirectRead, fetch
from roomcast.core.errors import BadUserInput

Row = TypeVar("Row")

MAX_CURSOR = 2_000
"""Characters. The longest sort key of a list is a folded name."""

MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Window:
    """The requested page: `size` rows from the start or the end, `after` or `before` a cursor."""

    size: int = DEFAULT_PAGE_SIZE
    from_end: bool = False
    after: str | None = None
    before: str | None = None


def window(
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    *,
    newest: bool = False,
) -> Window:
    """The page that a client requests. `newest`: without first and last, it is the last page (message history).

    Raises BadUserInput for first with last, and for sizes outside 1…100.
    """
    if first is not None and last is not None:
        raise BadUserInput("Give first or last, not both.")
    size = first if first is not None else last if last is not None else DEFAULT_PAGE_SIZE
    if not 1 <= size <= MAX_PAGE_SIZE:
        raise BadUserInput(f"A page has 1 to {MAX_PAGE_SIZE} items.", path=["last" if first is None else "first"])
    from_end = last is not None or (first is None and newest and after is None)
    return Window(size, from_end, after, before)


@dataclass(frozen=True, slots=True)
class Key:
    """One column of a sort key. The last column must be unique, or rows between two pages would be skipped."""

    column: ColumnElement[Any]
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in order, each with its cursor. Both flags are exact."""

    rows: Sequence[Row]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool


async def page(
    session: AsyncSession, name: str, statement: sa.Select[*tuple[Any, ...]], keys: Sequence[Key], wanted: Window
) -> Page[Any]:
    """The requested page of `statement`, ordered by `keys`. Each row is a tuple of the selected values.

    `name` is part of the cursors, so that a list refuses the cursors of another. Raises BadUserInput for them.
    """
    lower, upper = _read(name, keys, wanted.after), _read(name, keys, wanted.before)
    bounded = statement
    if lower is not None:
        bounded = bounded.where(_beyond(keys, lower))
    if upper is not None:
        bounded = bounded.where(_beyond(keys, upper, reverse=True))
    ordered = bounded.add_columns(*(key.column for key in keys)).order_by(*_order(keys, reverse=wanted.from_end))
    found = list(await fetch(session, ordered.limit(wanted.size + 1)))
    more, found = len(found) > wanted.size, found[: wanted.size]
    if wanted.from_end:
        found.reverse()
    width = len(keys)
    values = [tuple(row[-width:]) for row in found]
    edge = (values[0] if wanted.from_end is False else values[-1]) if values else None
    beyond = await _anything_beyond(session, statement, keys, edge, wanted, (lower, upper))
    return Page(
        [tuple(row[:-width]) for row in found],
        [write_cursor(name, value) for value in values],
        has_next=beyond if wanted.from_end else more,
        has_previous=more if wanted.from_end else beyond,
    )


class PagedList:
    """A list whose pages are read through the driver. Use it for lists that are read often: `page` compiles its
    statement for each page.

    `statement` selects the columns of `records` (see `DirectQuery`), and perhaps other ones; its values are parameters.
    `name` is part of the cursors.
    """

    def __init__(
        self,
        name: str,
        statement: sa.Select[*tuple[Any, ...]],
        keys: Sequence[Key],
        records: tuple[type[Any], ...] = (),
    ) -> None:
        self._name, self._statement, self._keys, self._records = name, statement, keys, records
        self._variants: dict[tuple[bool, bool, bool], list[sa.Select[*tuple[Any, ...]]]] = {}

    def page(self, wanted: Window, parameters: Mapping[str, Any]) -> DirectRead[Page[Any]]:
        """A read of the requested page. Each row is a tuple of the records and the other columns. Raises BadUserInput
        for cursors of other lists."""
        bounds = {
            "after": _read(self._name, self._keys, wanted.after),
            "before": _read(self._name, self._keys, wanted.before),
        }
        given = {
            f"{side}_{number}": value for side, values in bounds.items() for number, value in enumerate(values or ())
        }
        variant = wanted.from_end, wanted.after is not None, wanted.before is not None
        if variant not in self._variants:
            self._variants[variant] = self._build(*variant)
        rows, *beyond = self._variants[variant]
        queries = [
            DirectQuery[Any](rows, {**parameters, **given, "size": wanted.size + 1}, self._records),
            *(DirectQuery[Any](statement, {**parameters, **given}) for statement in beyond),
        ]
        return DirectRead(queries, partial(self._finish, wanted))

    def _build(self, from_end: bool, has_after: bool, has_before: bool) -> list[sa.Select[*tuple[Any, ...]]]:
        """The statement of the rows, and one that finds any row beyond the cursor that the page is counted from."""
        bounded = self._statement
        after, before = [
            tuple(sa.bindparam(f"{side}_{number}", type_=key.column.type) for number, key in enumerate(self._keys))
            for side in ("after", "before")
        ]
        if has_after:
            bounded = bounded.where(_beyond(self._keys, after))
        if has_before:
            bounded = bounded.where(_beyond(self._keys, before, reverse=True))
        columns = [key.column.label(f"key_{number}") for number, key in enumerate(self._keys)]
        ordered = bounded.add_columns(*columns).order_by(*_order(self._keys, reverse=from_end))
        found = [ordered.limit(sa.bindparam("size", type_=sa.Integer))]
        if has_before if from_end else has_after:
            within = _beyond(self._keys, before, reverse=True) if from_end else _beyond(self._keys, after)
            any_row: sa.Select[*tuple[Any, ...]] = self._statement.with_only_columns(
                sa.literal_column("1").label("found"), maintain_column_froms=True
            )
            found.append(any_row.where(sa.not_(within)).limit(1))
        return found

    def _finish(self, wanted: Window, found: Sequence[Any], beyond: Sequence[Any] = ()) -> Page[Any]:
        more, rows = len(found) > wanted.size, list(found[: wanted.size])
        if wanted.from_end:
            rows.reverse()
        width = len(self._keys)
        return Page(
            [row[:-width] for row in rows],
            [write_cursor(self._name, row[-width:]) for row in rows],
            has_next=bool(beyond) if wanted.from_end else more,
            has_previous=more if wanted.from_end else bool(beyond),
        )


async def _anything_beyond(
    session: AsyncSession,
    statement: sa.Select[*tuple[Any, ...]],
    keys: Sequence[Key],
    edge: tuple[Any, ...] | None,
    wanted: Window,
    bounds: tuple[tuple[Any, ...] | None, tuple[Any, ...] | None],
) -> bool:
    """Whether rows exist before the start of the page, or after its end if it was counted from the end."""
    lower, upper = bounds
    if (upper if wanted.from_end else lower) is None:
        return False
    if edge is not None:
        condition = _beyond(keys, edge, reverse=not wanted.from_end)
    elif wanted.from_end:
        condition = sa.not_(_beyond(keys, upper or (), reverse=True))
    else:
        condition = sa.not_(_beyond(keys, lower or ()))
    return bool(await fetch(session, statement.where(condition).order_by(None).limit(1)))


def _order(keys: Sequence[Key], *, reverse: bool) -> list[ColumnElement[Any]]:
    return [key.column.desc() if key.descending != reverse else key.column.asc() for key in keys]


def _beyond(keys: Sequence[Key], values: tuple[Any, ...], *, reverse: bool = False) -> ColumnElement[bool]:
    """The condition for rows strictly after `values` in the order of the list; before them with `reverse`."""
    if len({key.descending for key in keys}) == 1 and len(keys) > 1:
        typed = (
            value if isinstance(value, sa.BindParameter) else sa.literal(value, key.column.type)
            for key, value in zip(keys, values, strict=True)
        )
        row, bound = sa.tuple_(*(key.column for key in keys)), sa.tuple_(*typed)
        return row < bound if keys[0].descending != reverse else row > bound
    alternatives = []
    for depth, key in enumerate(keys):
        same = [k.column == v for k, v in zip(keys[:depth], values[:depth], strict=True)]
        further = key.column < values[depth] if key.descending != reverse else key.column > values[depth]
        alternatives.append(sa.and_(*same, further))
    return sa.or_(*alternatives)


def write_cursor(name: str, values: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([name, *values], default=str)).rstrip(b"=").decode()


def _read(name: str, keys: Sequence[Key], text: str | None) -> tuple[Any, ...] | None:
    if text is None:
        return None
    try:
        if len(text) > MAX_CURSOR:
            raise ValueError
        found_name, *values = orjson.loads(
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        )
        if found_name != name or len(values) != len(keys):
            raise ValueError
        return tuple(_typed(_python_type(key.column), value) for key, value in zip(keys, values, strict=True))
    except (ValueError, TypeError, OverflowError):
        raise BadUserInput("This is not a cursor of this list.") from None


def _python_type(column: ColumnElement[Any]) -> type:
    """The Python type of a column. Decorated types (our times, the texts of SQLModel) have it in their `impl`."""
    kind = column.type
    return kind.impl_instance.python_type if isinstance(kind, sa.types.TypeDecorator) else kind.python_type


def _typed(wanted: type, value: Any) -> Any:
    if wanted is UUID:
        return UUID(value)
    if wanted is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    if type(value) is not wanted or (isinstance(value, int) and abs(value) > 2**53):
        raise ValueError
    if isinstance(value, str) and "\0" in value:  # PostgreSQL cannot store it in a text
        raise ValueError
    return value
