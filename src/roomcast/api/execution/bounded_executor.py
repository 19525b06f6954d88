"""An executor that limits one execution: its fields, the bytes of its response, and its time on the event loop."""

from collections.abc import Awaitable, Mapping
from typing import Any, Final, Self, cast

from graphql import ExecutionResult, GraphQLLeafType, GraphQLObjectType, OperationType
from graphql.pyutils import Path, Undefined
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from roomcast.api.execution.limits import DEFAULT_RESPONSE_BYTES, Limits, too_complex
from roomcast.realtime.fair_limiter import FairLimiter

FIELD_BYTES: Final = 8
"""Bytes of a field besides its name and text: quotes, colon, comma, and a short value."""

ERROR_BYTES: Final = 300
"""Estimated bytes of one formatted error: message, path, locations and extensions."""

SHORT_TEXT: Final = 256
"""Texts below this number of characters count one byte per character. Longer texts are measured exactly."""

FIELDS_BEFORE_YIELDING: Final = 2_000
"""Fields that an execution completes before it yields to the event loop: about ten milliseconds."""

FIELDS_PER_TURN: Final = 400
"""Fields that it then completes in each pass of the event loop: about two milliseconds."""


class BoundedExecutor(StrawberryGraphQLCoreExecutionContext):
    """Stops an execution whose response has become too large.

    `exceeded` then names the limit. Every further object is completed as an empty one, which is cheap, and
    `check_result` returns one error in place of the result. An error for each field would only add to the response.
    """

    max_bytes: int = DEFAULT_RESPONSE_BYTES
    max_fields: int | None = None
    bytes: int = 0
    fields: int = 0
    exceeded: str | None = None
    _limiter: FairLimiter | None = None
    _sizes: dict[int, tuple[Any, int]] | None = None
    """Bytes of the field names of a selection, by `id`. Keeping the selection prevents the reuse of its id."""

    def apply_limits(self, limits: Limits) -> None:
        """Subscription events have no limit of fields: an inbox snapshot has one item for each room of the viewer."""
        self.max_bytes = limits.response_bytes
        self.max_fields = None if self.operation.operation is OperationType.SUBSCRIPTION else limits.cost

    def build_per_event_executor(self, payload: Any) -> Self:
        executor = cast("Self", super().build_per_event_executor(payload))
        executor.bytes = executor.fields = 0  # the new executor is a copy of this one
        executor.exceeded = executor._limiter = executor._sizes = None
        return executor

    def check_result(self, result: ExecutionResult) -> ExecutionResult:
        """The result, or an error if it exceeds a limit."""
        self._check()
        return result if self.exceeded is None else ExecutionResult(None, [too_complex(self.exceeded)])

    def count(self, fields: int, size: int) -> None:
        """Count fields and bytes that were completed elsewhere."""
        self.fields += fields
        self.bytes += size
        self._check()

    def _check(self) -> None:
        if self.bytes > self.max_bytes:
            self.exceeded = f"a response of more than {self.max_bytes} bytes (maxResponseBytes)"
        elif self.max_fields is not None and self.fields > self.max_fields:
            self.exceeded = f"more than {self.max_fields} fields in its lists"

    def _names_size(self, selection: Mapping[str, Any]) -> int:
        if self._sizes is None:
            self._sizes = {}
        cached = self._sizes.get(id(selection))
        if cached is None:
            size = sum(map(len, selection)) + FIELD_BYTES * len(selection)
            cached = self._sizes[id(selection)] = selection, size
        return cached[1]

    # ------------------------------------------------------------------ methods of graphql-core's executor

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: dict[str, Any],
        position_context: Any,
    ) -> Any:
        self.fields += len(grouped_field_set)
        self.bytes += self._names_size(grouped_field_set)
        if self.bytes > self.max_bytes or self.fields > FIELDS_BEFORE_YIELDING:
            self._check()
            if self.exceeded is not None:
                return {}
            if self.fields > FIELDS_BEFORE_YIELDING:
                return self._execute_in_turn(parent_type, source_value, path, grouped_field_set, position_context)
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    async def _execute_in_turn(
        self, parent_type: GraphQLObjectType, source: Any, path: Path | None, selection: dict[str, Any], position: Any
    ) -> Any:
        """Execute the fields of one object in a later pass of the event loop, so that other requests run in between."""
        if self._limiter is None:
            self._limiter = FairLimiter(max(1, FIELDS_PER_TURN // len(selection)))
        await self._limiter.acquire()
        if self.exceeded is not None:
            return {}
        fields = super().execute_fields(parent_type, source, path, selection, position)
        return await fields if isinstance(fields, Awaitable) else fields

    def complete_leaf_value(  # type: ignore[override]  # a static method in graphql-core
        self, return_type: GraphQLLeafType, result: Any
    ) -> Any:
        coerced = return_type.coerce_output_value(result)
        if type(coerced) is str:
            self.bytes += text_size(coerced)
            return coerced
        if coerced is None or coerced is Undefined:
            return super().complete_leaf_value(return_type, result)  # raises the fitting error
        return coerced

    def handle_field_error(self, raw_error: Exception, *where: Any) -> None:
        self.bytes += ERROR_BYTES
        if self.bytes > self.max_bytes:
            self._check()
        if self.exceeded is None:
            super().handle_field_error(raw_error, *where)


def text_size(text: str) -> int:
    """Bytes of the text in JSON, without quotes."""
    if len(text) < SHORT_TEXT:
        return len(text)
    plain = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return plain + sum(map(text.count, '"\\\n\t\r'))
