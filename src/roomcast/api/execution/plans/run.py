"""One run of a plan: what the generated code calls, and what is counted."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from types import CoroutineType, NoneType
from typing import Any, Final, NamedTuple, TypeAlias

from graphql import GraphQLField, GraphQLObjectType
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path, UndefinedType

from roomcast.api.execution.bounded_executor import text_size
from roomcast.api.execution.plans.omitting import OmittingExecutor
from roomcast.api.loaders import AWAITABLE_TYPES

MAX_FIELDS: Final = 8_000
"""Fields that plans complete in one execution: about five milliseconds. graphql-core lets other requests run in
between, and completes everything larger."""

NOT_OBJECTS = (NoneType, UndefinedType, Exception, *AWAITABLE_TYPES)
"""Values that no object type can have."""


Complete: TypeAlias = Callable[[Any, "Run", "list[Pending]"], Any]
"""A function of the generated code: it completes a value."""


class Unusual(Exception):
    """A value that graphql-core has to complete."""


class SelectedField(NamedTuple):
    """A field that the generated code does not call by itself."""

    parent: GraphQLObjectType
    field: GraphQLField
    details: FieldDetailsList
    path: Path
    """Without what lies above the field: no resolver reads it, and errors are graphql-core's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`complete` is None if graphql-core completes the selection. `details` keeps the nodes that are its key."""

    details: FieldDetailsList
    complete: Complete | None = None
    fields: Sequence[SelectedField] = ()
    source: str = ""

    @property
    def weight(self) -> int:
        """The memory in units of about ten bytes: the code takes one for each character, and the parsed document that
        the nodes belong to takes ten."""
        location = self.details[0].node.loc
        return len(self.source) + 10 * (len(location.source.body) if location else 0)


@dataclass(slots=True)
class Pending:
    """A value that is not there yet: `complete` gets it, and the result becomes `target[key]`."""

    key: str
    value: Awaitable[Any]
    complete: Complete
    target: dict[str, Any] = field(default_factory=dict)


class Run:
    """The generated code passes it to resolvers as their `info`.

    `fields` and `bytes` count as `BoundedExecutor` does, which gets them by `count`.
    """

    __slots__ = (
        "_calls",
        "_counted",
        "_executor",
        "_infos",
        "_objects",
        "_plan",
        "bytes",
        "context",
        "fields",
        "max_fields",
    )

    def __init__(self, plan: Plan, executor: OmittingExecutor) -> None:
        self.context = executor.context_value
        self._plan, self._executor = plan, executor
        self._infos: dict[int, Any] = {}
        self._calls: dict[int, tuple[Callable[..., Any], Any, dict[str, Any]]] = {}
        self._objects: dict[tuple[Complete, int], tuple[Any, Any, int, int]] = {}
        self.fields = self.bytes = 0
        self.max_fields, self._counted = MAX_FIELDS - executor.fields, (0, 0)

    def call(self, number: int, source: Any) -> Any:
        """The value of a field by its general resolver. All objects have the same arguments."""
        if number not in self._calls:
            _, definition, details, _ = self._plan.fields[number]
            values = self._executor.variable_values
            arguments = get_argument_values(definition, details[0].node, values, None, hide_suggestions=True)
            self._calls[number] = definition.resolve or self._executor.field_resolver, self.info(number), arguments
        resolve, info, arguments = self._calls[number]
        return resolve(source, info, **arguments)

    def once(self, complete: Complete, source: Any, pending: list[Pending]) -> Any:
        """The completed object of leaf values. The same rows come again and again, as the authors of messages do."""
        known = self._objects.get((complete, id(source)))
        if known is None:
            fields, size = self.fields, self.bytes
            data = complete(source, self, pending)
            self._objects[complete, id(source)] = source, data, self.fields - fields, self.bytes - size
            return data
        _, data, fields, size = known
        self.fields += fields
        self.bytes += size
        return data

    def info(self, number: int) -> Any:
        """graphql-core's `info` of a field."""
        if number not in self._infos:
            parent, definition, details, path = self._plan.fields[number]
            nodes = [each.node for each in details]
            self._infos[number] = self._executor.build_resolve_info(definition, nodes, parent, path)
        return self._infos[number]

    def leave_out(self, number: int, source: Any) -> Any:
        parent, _, details, path = self._plan.fields[number]
        return self._executor.leave_out(parent, source, details, path)

    def count(self) -> None:
        """Count what was completed since the last call against the limits of the execution."""
        fields, size = self._counted
        self._executor.count(self.fields - fields, self.bytes - size)
        self._counted = self.fields, self.bytes
        self.max_fields = self.fields + MAX_FIELDS - self._executor.fields

    def uncount(self) -> None:
        """Take back what was counted: graphql-core completes it again."""
        fields, size = self._counted
        self._executor.count(-fields, -size)

    async def finish(self, data: dict[str, Any], pending: list[Pending]) -> dict[str, Any]:
        """Wait for everything that is pending, level by level, and return the completed data."""
        self.count()
        try:
            while pending and self._executor.exceeded is None:
                batch = pending.copy()
                pending.clear()
                for each, value in zip(batch, await _values(batch), strict=True):
                    each.target[each.key] = each.complete(value, self, pending)
                self.count()
        finally:
            close(pending)
        return data


async def _values(batch: Sequence[Pending]) -> list[Any]:
    """The awaited values. Only coroutines need tasks: rows are on their way already."""
    coroutines = [each.value for each in batch if isinstance(each.value, CoroutineType)]
    rows = [each.value for each in batch if not isinstance(each.value, CoroutineType)]
    try:
        found = await _gather(coroutines)
        loaded = iter([await row for row in rows])
    finally:
        _cancel(rows)
    results = iter(found)
    return [next(results if isinstance(each.value, CoroutineType) else loaded) for each in batch]


async def _gather(coroutines: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """All results. An exception is raised only after each coroutine has ended."""
    if len(coroutines) < 2:
        return [await coroutine for coroutine in coroutines]
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def close(pending: Iterable[Pending]) -> None:
    """Drop values that nobody will await."""
    for each in pending:
        if isinstance(each.value, CoroutineType):
            each.value.close()
        else:
            _cancel([each.value])


def _cancel(rows: Iterable[Any]) -> None:
    """Stop to wait for these rows: an error of a future that nobody awaits would be logged."""
    for row in rows:
        row.cancel()


def text_sizes(*texts: str | None) -> int:
    """Bytes of these texts in JSON, without quotes."""
    return sum(text_size(text) for text in texts if text is not None)
