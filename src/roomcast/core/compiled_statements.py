"""Statements compiled for a database driver, with the conversions of their parameters and columns.

A statement is compiled once for a dialect and a shape of parameters. SQLAlchemy repeats this work at each execution; on
hot paths it costs more than the statement itself. The conversions are generated: one expression makes the arguments of
a statement, and one list comprehension its rows. With a loop over the columns, the rows of a page took four times as
long.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from roomcast.core.records import tuple_type

Parameters = Mapping[str, Any]
Record = type[Any] | tuple[type[Any], ...] | None
"""One or several classes of `core.records`."""

CACHED_STATEMENTS = 500
"""Compiled statements in the cache: a few for each statement, one for each length of its lists."""


class Path(tuple[Any, ...]):
    """The path to a value inside the parameters: a name, then an index in its list, then an index in a tuple there."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CompiledStatement:
    """SQL for a driver. `arguments` makes its arguments of the parameters; `make_rows` converts the rows of the
    driver."""

    sql: str
    arguments: Callable[[Parameters], list[Any]]
    make_rows: Callable[[Sequence[Any]], list[Any]]


def compiled_statement(
    statement: sa.Executable, dialect: sa.Dialect, parameters: Parameters, record: Record = None
) -> tuple[CompiledStatement, Parameters]:
    """The compiled statement for parameters of this shape, and the parameters for it. Raises for an empty list.

    `record`: what its rows become, see `DirectQuery`.

    A list is padded to a power of two with its last member, so that lists of all lengths need few compiled statements.
    """
    filled = {name: _filled(value) if isinstance(value, list) else value for name, value in parameters.items()}
    shape = tuple((name, _shape(value)) for name, value in filled.items())
    return _compile(statement, dialect, shape, cast("Hashable", record)), filled


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
    statement: sa.Executable,
    dialect: sa.Dialect,
    shape: tuple[tuple[str, tuple[int, int]], ...],
    record: Any,
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
    return CompiledStatement(state.statement, _arguments_maker(order), _rows_maker(compiled, dialect, record))


def _paths(name: str, length: int, width: int) -> Any:
    if not length:
        return Path((name,))
    if not width:
        return [Path((name, index)) for index in range(length)]
    return [tuple(Path((name, index, inner)) for inner in range(width)) for index in range(length)]


def _arguments_maker(order: Sequence[tuple[Any, Callable[[Any], Any] | None]]) -> Callable[[Parameters], list[Any]]:
    """A function that makes the arguments. `order`: for each of them its path, or a value of the statement itself, and
    its conversion.

    It is generated, e.g. for a value, a list and a list of pairs:
    `lambda p: [c0(p["a"]), *map(c1, p["b"]), *[x for t in p["c"] for x in (c3(t[0]), t[1])]]`.
    """
    names: dict[str, Any] = {f"c{number}": convert for number, (_, convert) in enumerate(order)}
    parts = []
    for number, (path, convert) in enumerate(order):
        call = "" if convert is None else f"c{number}"
        if not isinstance(path, Path):
            names[f"k{number}"] = path if convert is None else convert(path)
            parts.append(f"k{number}")
        elif len(path) == 1:
            parts.append(f"{call}(p[{path[0]!r}])")
        elif path[1:] == (0,):
            parts.append(f"*map({call}, p[{path[0]!r}])" if call else f"*p[{path[0]!r}]")
        elif path[1:] == (0, 0):
            width = max(other[2] for other, _ in order if isinstance(other, Path) and other[0] == path[0]) + 1
            calls = ["" if order[number + inner][1] is None else f"c{number + inner}" for inner in range(width)]
            values = _tuple([f"{call}(t[{inner}])" for inner, call in enumerate(calls)])
            parts.append(f"*[x for t in p[{path[0]!r}] for x in {values}]")
        # The other members of a list follow its first one.
    return eval(f"lambda p: [{', '.join(parts)}]", names)  # type: ignore[no-any-return]  # noqa: S307 (made of our names only)


def _rows_maker(compiled: SQLCompiler, dialect: sa.Dialect, record: Record) -> Callable[[Sequence[Any]], list[Any]]:
    """A function that makes rows from those of the driver. Null stays None in columns of every type.

    It is generated, e.g. for two columns of which the second one is converted:
    `lambda rows: [new(R0, (v0, None if v1 is None else c1(v1),)) for v0, v1, in rows]`.
    """
    columns = getattr(compiled.statement, "selected_columns", ())
    if not columns:
        return list
    names: dict[str, Any] = {"new": tuple.__new__}
    values = []
    for number, column in enumerate(columns):
        convert = column.type.dialect_impl(dialect).result_processor(dialect, None)
        names[f"c{number}"] = convert
        values.append(f"v{number}" if convert is None else f"None if v{number} is None else c{number}(v{number})")
    if isinstance(record, tuple):
        row = _tuple(_records(values, record, names))
    else:
        names["R0"] = record or tuple_type("Row", tuple(column.key for column in columns))
        row = f"new(R0, {_tuple(values)})"
    variables = "".join(f"v{number}, " for number in range(len(columns)))
    source = f"lambda rows: [{row} for {variables} in rows]"
    return eval(source, names)  # type: ignore[no-any-return]  # noqa: S307 (made of our names only)


def _records(values: Sequence[str], classes: tuple[type[Any], ...], names: dict[str, Any]) -> list[str]:
    """The source of a record of each class, and of the remaining columns."""
    parts, start = [], 0
    for number, each in enumerate(classes):
        end = start + len(cast("Any", each)._fields)
        names[f"R{number}"] = each
        parts.append(f"None if v{start} is None else new(R{number}, {_tuple(values[start:end])})")
        start = end
    return [*parts, *values[start:]]


def _tuple(values: Sequence[str]) -> str:
    return f"({''.join(f'{value}, ' for value in values)})"
