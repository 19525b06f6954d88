"""Statements as a driver takes them: compiled once for a dialect and a shape of parameters, with the conversions of
their types at hand. SQLAlchemy does all of this anew each time; on hot paths that costs more than the statement."""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

Parameters = Mapping[str, Any]
Convert = Callable[[Any], Any] | None
Path = tuple[Any, ...]
"""The way to a value inside the parameters: a name; a name and a place in its list; and a place in that pair."""

CACHED_STATEMENTS = 500
"""Plans that are kept: a handful for each statement, by the lengths of its lists."""


@dataclass(frozen=True, slots=True)
class CompiledStatement:
    sql: str
    paths: Sequence[tuple[Path, Convert]]
    make_row: Callable[[Sequence[Any]], Any]

    def arguments(self, parameters: Parameters) -> list[Any]:
        return [_value_at(parameters, path, convert) for path, convert in self.paths]


def compiled_statement(
    statement: sa.Executable, dialect: sa.Dialect, parameters: Parameters
) -> tuple[CompiledStatement, Parameters]:
    """The plan for such parameters, and these as it takes them. Lists are filled up to a power of two with their last
    member, so that there are few plans for lists of all lengths; none is empty."""
    filled = {name: _filled(value) if isinstance(value, list) else value for name, value in parameters.items()}
    shape = tuple((name, _shape(value)) for name, value in filled.items())
    return _compile(statement, dialect, shape), filled


def _filled(values: list[Any]) -> list[Any]:
    wanted = 1 << (len(values) - 1).bit_length()
    return values + values[-1:] * (wanted - len(values))


def _shape(value: Any) -> tuple[int, int]:
    """How many members, and how many each of these has; (0, 0) for what is no list."""
    if not isinstance(value, list):
        return 0, 0
    return len(value), len(value[0]) if isinstance(value[0], tuple) else 0


@lru_cache(maxsize=CACHED_STATEMENTS)
def _compile(
    statement: sa.Executable, dialect: sa.Dialect, shape: tuple[tuple[str, tuple[int, int]], ...]
) -> CompiledStatement:
    names = [name for name, _ in shape]
    compiled: Any = statement.compile(  # type: ignore[attr-defined]
        dialect=dialect, column_keys=names, for_executemany=True
    )
    state = compiled.construct_expanded_state({name: _paths(name, *size) for name, size in shape})
    converts = {name: _to_driver(bind, dialect) for name, bind in compiled.binds.items()} | dict(state.processors)
    order = [(state.parameters[name], converts.get(name)) for name in state.positiontup]
    return CompiledStatement(state.statement, order, _row_maker(compiled, dialect))


def _paths(name: str, length: int, width: int) -> Any:
    if not length:
        return (name,)
    if not width:
        return [(name, place) for place in range(length)]
    return [tuple((name, place, inner) for inner in range(width)) for place in range(length)]


def _to_driver(bind: sa.BindParameter[Any], dialect: sa.Dialect) -> Convert:
    return bind.type.dialect_impl(dialect).bind_processor(dialect)


def _row_maker(compiled: SQLCompiler, dialect: sa.Dialect) -> Callable[[Sequence[Any]], Any]:
    """Makes rows whose values have the names of the columns that the statement selects."""
    columns = getattr(compiled.statement, "selected_columns", ())
    names = [column.key for column in columns]
    make: Any = namedtuple("Row", names)  # type: ignore[misc]
    converts = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]

    def converted(values: Sequence[Any]) -> Any:
        return make._make(
            value if convert is None else convert(value) for value, convert in zip(values, converts, strict=True)
        )

    return converted


def _value_at(parameters: Parameters, path: Path, convert: Convert) -> Any:
    value: Any = parameters
    for step in path:
        value = value[step]
    return value if convert is None else convert(value)
