"""What one execution may use, counted while values are completed: fields, bytes of the answer, time on the loop."""

from collections.abc import Awaitable, Mapping
from typing import Any, Final, Self, cast

from graphql import ExecutionResult, GraphQLLeafType, GraphQLObjectType, OperationType
from graphql.pyutils import Path, Undefined
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from roomcast.api.execution.limits import DEFAULT_RESPONSE_BYTES, Limits, too_complex
from roomcast.realtime.fair_limiter import FairLimiter

FIELD_BYTES: Final = 8
"""Of a field besides its name and text: quotes, colon, comma, and the shortest values."""

ERROR_BYTES: Final = 300

SHORT: Final = 256
"""Characters of texts that are counted by their length. The characters of longer ones are looked at."""

STRETCH: Final = 2_000
"""Fields that are executed before others get their turn on the loop: some ten milliseconds."""

PASS: Final = 400
"""Fields that are executed in one pass of the loop from then on."""


class BoundedExecutor(StrawberryGraphQLCoreExecutionContext):
    """Stops executing where an answer has become too large: from there on every object is empty, which takes little,
    and `checked` puts the error in place of the answer. An error for each field instead would be the next flood.

    `exceeded` names the limit that was passed; what is completed from then on is thrown away.
    """

    max_bytes: int = DEFAULT_RESPONSE_BYTES
    max_fields: int | None = None
    bytes: int = 0
    fields: int = 0
    exceeded: str | None = None
    _turns: FairLimiter | None = None
    _sizes: dict[int, tuple[Any, int]] | None = None
    """Bytes of a selection's names, by its identity. The selection is kept so that nothing else gets that."""

    def apply_limits(self, limits: Limits) -> None:
        """Events have no limit of fields: an inbox has as many rooms as a person is in."""
        self.max_bytes = limits.response_bytes
        self.max_fields = None if self.operation.operation is OperationType.SUBSCRIPTION else limits.cost

    def build_per_event_executor(self, payload: Any) -> Self:
        executor = cast("Self", super().build_per_event_executor(payload))
        executor.bytes = executor.fields = 0  # it is a copy of this one
        executor.exceeded = executor._turns = executor._sizes = None
        return executor

    def check_result(self, result: ExecutionResult) -> ExecutionResult:
        """The result, or the error that it has become too large."""
        self._check()
        return result if self.exceeded is None else ExecutionResult(None, [too_complex(self.exceeded)])

    def _check(self) -> None:
        if self.bytes > self.max_bytes:
            self.exceeded = f"an answer of more than {self.max_bytes} bytes (maxResponseBytes)"
        elif self.max_fields is not None and self.fields > self.max_fields:
            self.exceeded = f"more than {self.max_fields} fields in its lists"

    def _names(self, selection: Mapping[str, Any]) -> int:
        if self._sizes is None:
            self._sizes = {}
        known = self._sizes.get(id(selection))
        if known is None:
            size = sum(map(len, selection)) + FIELD_BYTES * len(selection)
            known = self._sizes[id(selection)] = selection, size
        return known[1]

    # ------------------------------------------------------------------ what graphql-core calls

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: dict[str, Any],
        position_context: Any,
    ) -> Any:
        self.fields += len(grouped_field_set)
        self.bytes += self._names(grouped_field_set)
        if self.bytes > self.max_bytes or self.fields > STRETCH:
            self._check()
            if self.exceeded is not None:
                return {}
            if self.fields > STRETCH:
                return self._later(parent_type, source_value, path, grouped_field_set, position_context)
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    async def _later(
        self, parent_type: GraphQLObjectType, source: Any, path: Path | None, selection: dict[str, Any], position: Any
    ) -> Any:
        """Execute the fields of one object in one of the next passes of the loop."""
        if self._turns is None:
            self._turns = FairLimiter(max(1, PASS // len(selection)))
        await self._turns.acquire()
        if self.exceeded is not None:
            return {}
        found = super().execute_fields(parent_type, source, path, selection, position)
        return await found if isinstance(found, Awaitable) else found

    def complete_leaf_value(  # type: ignore[override]  # a static method there
        self, return_type: GraphQLLeafType, result: Any
    ) -> Any:
        coerced = return_type.coerce_output_value(result)
        if type(coerced) is str:
            self.bytes += len(coerced) if len(coerced) < SHORT else _encoded(coerced)
            return coerced
        if coerced is None or coerced is Undefined:
            return super().complete_leaf_value(return_type, result)  # which says what is wrong
        return coerced

    def handle_field_error(self, raw_error: Exception, *where: Any) -> None:
        self.bytes += ERROR_BYTES
        if self.bytes > self.max_bytes:
            self._check()
        if self.exceeded is None:
            super().handle_field_error(raw_error, *where)


def _encoded(text: str) -> int:
    """Bytes of the text as JSON."""
    plain = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return plain + sum(map(text.count, '"\\\n\t\r'))
