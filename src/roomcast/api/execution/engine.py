"""Executes operations: checks limits and rates, runs the executor with a timeout, and translates errors."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeGuard, cast
from uuid import UUID
from weakref import WeakValueDictionary

import strawberry
from graphql import ExecutionResult, GraphQLError, OperationType, create_source_event_stream
from prometheus_client import CollectorRegistry

from roomcast import tracing
from roomcast.api.context import Backend, Caller, Context
from roomcast.api.errors import coded_error, format_error, root_cause, with_code
from roomcast.api.execution.bounded_executor import BoundedExecutor
from roomcast.api.execution.documents import DocumentCache, Operation, RequestErrors
from roomcast.api.execution.limits import Limits, too_complex
from roomcast.api.execution.persisted import PersistedQueries
from roomcast.api.execution.plans.cache import PlanCache
from roomcast.api.execution.plans.executor import PlannedExecutor
from roomcast.api.execution.rates import MESSAGE_WEIGHTS, RateLimiter
from roomcast.api.execution.requests import Request
from roomcast.api.loaders import AWAITABLE_TYPES
from roomcast.core.actor import Actor
from roomcast.core.db import is_outage
from roomcast.core.metrics import OperationMetrics
from roomcast.realtime.pacer import Pacer
from roomcast.realtime.retry import retry_until_success

Payload = dict[str, Any]

NEW_DOCUMENT_BYTES_PER_SECOND = 48 * 1024
"""New documents that a process parses and validates, in about half of its time. A document takes milliseconds, and a
client may send hundreds at once. Addresses take turns. A document that was seen before is not parsed again."""

MAX_CONCURRENT_SUBSCRIBES = 16
"""Subscriptions that start at the same time. When thousands of clients reconnect at once, other requests still run."""


class Engine:
    """Executes requests against the schema.

    `parse_operation` finds the operation of a request, `run` executes a query or mutation, and `subscribe` returns the
    stream of a subscription.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        backend: Backend,
        limits: Limits,
        persisted: PersistedQueries | None = None,
        rates: RateLimiter | None = None,
        operations: OperationMetrics | None = None,
        *,
        introspection: bool,
    ) -> None:
        """Without `rates`, there are no rate limits."""
        self.schema, self.backend, self.limits = schema._schema, backend, limits
        self.documents = DocumentCache(self.schema, limits, introspection=introspection)
        self._plans = PlanCache()
        self._parsing = Pacer(NEW_DOCUMENT_BYTES_PER_SECOND)
        self._subscribe_slots = asyncio.Semaphore(MAX_CONCURRENT_SUBSCRIBES)
        self._user_slots: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()
        self._persisted, self._rates = persisted or PersistedQueries(automatic=True), rates
        self.operations = operations or OperationMetrics(CollectorRegistry())

    async def parse_operation(self, request: Request, caller: Caller) -> Operation:
        """The operation of a request. Parsing a new document counts against a rate limit. Raises RequestErrors."""
        try:
            text = self._persisted.document_text(request)
            if self._rates is not None and not self.documents.is_cached(text):
                await self._rates.admit_parsing(text, caller)
                # Thousands of clients may send the same document after a restart: the first one parses it for all.
                await self._parsing.wait(caller.ip_address, len(text), lambda: self.documents.is_cached(text))
            return self.operation(request)
        except RequestErrors as errors:
            self.operations.refused(errors.code)
            raise

    def operation(self, request: Request) -> Operation:
        """The operation of a request, if its cost is within the limit. Raises RequestErrors."""
        operation = self.documents.operation(self._persisted.document_text(request), request.operation_name)
        self._persisted.register(request)
        is_stream = operation.kind is OperationType.SUBSCRIPTION
        limit = self.limits.event_cost if is_stream else self.limits.cost
        if (cost := operation.cost.total(request.variables)) > limit:
            raise RequestErrors(too_complex(f"a cost of {cost}, above {limit}"))
        return operation

    async def run(self, operation: Operation, request: Request, viewer: Actor | None, caller: Caller) -> Payload:
        """The response to a query or mutation. Raises RequestErrors for invalid variables and for RATE_LIMITED."""
        kind, name = operation.kind.value, operation.name or ", ".join(operation.root_fields)
        with self.operations.timed(kind) as outcome, tracing.span(f"{kind} {name}"):
            await self._admit(operation, request, viewer, caller)
            context = Context(self.backend, viewer, caller, field_names=operation.field_names)
            payload = await self._run(operation, request, context)
            if errors := payload.get("errors"):
                outcome.code = errors[0]["extensions"]["code"]
            elif context.refusal is not None:
                outcome.code = context.refusal
        return payload

    async def _run(self, operation: Operation, request: Request, context: Context) -> Payload:
        request_id = context.caller.request_id
        executor = self.executor(operation, request.variables, context)
        try:
            async with asyncio.timeout(self.limits.operation_seconds), self._user_slot(operation, context.viewer):
                payload = result_payload(await execute(executor), request_id)
        except TimeoutError:
            error = coded_error("TIMEOUT", "The operation took too long and was stopped.")
            return {"data": None, "errors": [format_error(error, request_id)]}
        finally:
            await context.close()
        if request.extensions.get("cost"):
            cost = {"requested": operation.cost.total(request.variables), "limit": self.limits.cost}
            payload["extensions"] = {"cost": cost}
        return payload

    def _user_slot(self, operation: Operation, viewer: Actor | None) -> AbstractAsyncContextManager[None]:
        """A slot to hold during execution. Sending messages needs none: all of them share one database connection."""
        most = self._rates.limits.concurrent_operations_per_user if self._rates is not None else None
        if most is None or viewer is None or set(operation.root_fields) <= MESSAGE_WEIGHTS.keys():
            return nullcontext()
        return self._user_slots.setdefault(viewer.user_id, asyncio.Semaphore(most))

    async def subscribe(self, operation: Operation, request: Request, context: Context) -> Any:
        """The stream that the subscription's field returns for this viewer. Raises RequestErrors.

        During an outage of the database it retries until it succeeds. The rate limit counts that once.
        """
        with self.operations.timed("subscription"):
            await self._admit(operation, request, context.viewer, context.caller)
            return await retry_until_success(lambda: self._subscribe(operation, request, context), worth=is_outage)

    async def _subscribe(self, operation: Operation, request: Request, context: Context) -> Any:
        async with self._subscribe_slots:
            executor = self.executor(operation, request.variables, context)
            try:
                async with asyncio.timeout(self.limits.operation_seconds):
                    stream = create_source_event_stream(executor)
                    result = await stream if isinstance(stream, Awaitable) else stream
            finally:  # a timeout is retried like an outage: an error would end the subscription
                await context.reset_reads()
        if isinstance(result, ExecutionResult):
            raise_outage(result.errors)
            raise RequestErrors(*(result.errors or ()))
        return result

    async def _admit(self, operation: Operation, request: Request, viewer: Actor | None, caller: Caller) -> None:
        if self._rates is not None:
            await self._rates.admit(operation, operation.cost.total(request.variables), viewer, caller)

    def executor(
        self,
        operation: Operation,
        variables: dict[str, Any],
        context: Context,
        kind: type[PlannedExecutor] = PlannedExecutor,
    ) -> PlannedExecutor:
        """An executor for one execution. Raises RequestErrors for invalid variables."""
        built = kind.build(
            self.schema,
            operation.document,
            None,
            context,
            variables,
            operation.name,
            is_awaitable=_is_awaitable,
            hide_suggestions=True,
            operation_extensions=None,
        )
        if isinstance(built, list):
            raise RequestErrors(*(with_code(error, "BAD_USER_INPUT") for error in built))
        executor = cast("PlannedExecutor", built)
        executor.apply_limits(self.limits)
        executor.use_plans(self._plans, operation.conditions)
        return executor


async def execute(executor: BoundedExecutor) -> ExecutionResult:
    result = executor.execute_operation()
    return executor.check_result(cast("ExecutionResult", await result if isinstance(result, Awaitable) else result))


def raise_outage(errors: Sequence[GraphQLError] | None) -> None:
    """Raise the exception behind one of these errors if it is an outage of the database."""
    for cause in map(root_cause, errors or ()):
        if cause is not None and is_outage(cause):
            raise cause


def result_payload(result: ExecutionResult, request_id: str) -> Payload:
    payload: Payload = {"data": result.data}
    if result.errors:
        payload["errors"] = [format_error(error, request_id) for error in result.errors]
    return payload


def request_errors_payload(errors: RequestErrors, request_id: str) -> Payload:
    """The response to a request that was not executed. It has no `data`, as the GraphQL specification requires."""
    return {"errors": [format_error(error, request_id) for error in errors.errors]}


def error_payload(error: GraphQLError, request_id: str) -> Payload:
    return {"errors": [format_error(error, request_id)]}


def _is_awaitable(value: Any) -> TypeGuard[Awaitable[Any]]:
    """Whether to await a resolver's value. graphql-core's own check costs more than most fields do."""
    return isinstance(value, AWAITABLE_TYPES)
