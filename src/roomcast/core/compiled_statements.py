"""Statements compiled for a database driver, with the conversions of their parameters and columns.

A statement is compiled once for a dialect and a shape of parameters. SQLAlchemy repeats this work at each execution; on
hot paths it costs more than the statement itself.
"""

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
"""The path to a value inside the parameters: a name, then an index in its list, then an index in a tuple there."""

CACHED_STATEMENTS = 500
"""Compiled statements in the cache: a few for each statement, one for each length of its lists."""


@dataclass(frozen=True, slots=True)
class CompiledStatement:
    """SQL for a driver. `paths` say where its arguments are in the parameters; `make_row` converts a row of
    the driver."""

    sql: str
    paths: Sequence[tuple[Path, Convert]]
    make_row: Callable[[Sequence[Any]], Any]

    def arguments(self, parameters: Parameters) -> list[Any]:
        return [_value_at(parameters, path, convert) for path, convert in self.paths]


def compiled_statement(
    statement: sa.Executable, dialect: sa.Dialect, parameters: Parameters
) -> tuple[CompiledStatement, Parameters]:
    """The compiled statement for parameters of this shape, and the parameters for it. Raises for an empty list.

    A list is padded to a power of two with its last member, so that lists of all lengths need few compiled statements.
    """
    filled = {name: _filled(value) if isinstance(value, list) else value for name, value in parameters.items()}
    shape = tuple((name, _shape(value)) for name, value in filled.items())
    return _compile(statement, dialect, shape), filled


def _filled(values: list[Any]) -> list[Any]:
    wanted = 1 << (len(values) - 1).bit_length()
    return values + values[-1:] * (wanted - len(values))


def _shape(value: Any) -> tuple[int, int]:
    """The length of a list and the length of its tuples, (length, 0) for single values, (0, 0) for no list."""
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
    converts = {
        name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()
    } | dict(state.processors)
    order = [(state.parameters[name], converts.get(name)) for name in state.positiontup]
    return CompiledStatement(state.statement, order, _row_maker(compiled, dialect))


def _paths(name: str, length: int, width: int) -> Any:
    if not length:
        return (name,)
    if not width:
        return [(name, index) for index in range(length)]
    return [tuple((name, index, inner) for inner in range(width)) for index in range(length)]


def _row_maker(compiled: SQLCompiler, dialect: sa.Dialect) -> Callable[[Sequence[Any]], Any]:
    """Returns a function that makes named tuples, with the selected columns as their fields, from rows of the
    driver."""
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
