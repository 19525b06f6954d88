"""Running operations: one request in, one answer out, with every error translated and every wait limited."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeGuard, cast
from uuid import UUID
from weakref import WeakValueDictionary

import strawberry
from graphql import ExecutionResult, GraphQLError, OperationType, create_source_event_stream
from prometheus_client import CollectorRegistry

from roomcast.api.context import PENDING, Backend, Caller, Context
from roomcast.api.errors import cause_of, coded, formatted, with_code
from roomcast.api.execution.bounded_executor import BoundedExecutor
from roomcast.api.execution.documents import Documents, Operation, RequestErrors
from roomcast.api.execution.limits import Limits, too_complex
from roomcast.api.execution.persisted import PersistedQueries
from roomcast.api.execution.rates import NEW_MESSAGES, Rates
from roomcast.api.execution.requests import Request
from roomcast.core.actor import Actor
from roomcast.core.db import is_outage
from roomcast.core.metrics import OperationMetrics
from roomcast.realtime.retry import retry_until_success

Payload = dict[str, Any]

AT_ONCE = 4
"""Operations of one person that are executed at a time; the others wait for these. A person who asks for hundreds would
have all connections to the database."""

BEGIN_AT_ONCE = 16
"""Subscriptions that begin together. When thousands come back at once, the loop still has time for everybody else."""


class Engine:
    """The schema with what it works on. `operation` says what a request means, `run` answers it, `subscribe` asks its
    field for a stream."""

    def __init__(
        self,
        schema: strawberry.Schema,
        backend: Backend,
        limits: Limits,
        persisted: PersistedQueries | None = None,
        rates: Rates | None = None,
        operations: OperationMetrics | None = None,
        *,
        introspection: bool,
    ) -> None:
        """Without `rates`, everybody may ask for as much as they like."""
        self.schema, self.backend, self.limits = schema._schema, backend, limits
        self.documents = Documents(self.schema, limits, introspection=introspection)
        self._turn = asyncio.Semaphore(BEGIN_AT_ONCE)
        self._shares: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()
        self._persisted, self._rates = persisted or PersistedQueries(automatic=True), rates
        self._operations = operations or OperationMetrics(CollectorRegistry())

    async def read(self, request: Request, caller: Caller) -> Operation:
        """The operation that is meant; a document that is new counts against the caller. Raises RequestErrors."""
        try:
            text = self._persisted.text(request)
            if self._rates is not None and not self.documents.knows(text):
                await self._rates.admit_reading(text, caller)
            return self.operation(request)
        except RequestErrors as errors:
            self._operations.refused(errors.code)
            raise

    def operation(self, request: Request) -> Operation:
        """Raises RequestErrors."""
        found = self.documents.operation(self._persisted.text(request), request.operation_name)
        self._persisted.learn(request)
        is_stream = found.kind is OperationType.SUBSCRIPTION
        limit = self.limits.event_cost if is_stream else self.limits.cost
        if (cost := found.cost.of(request.variables)) > limit:
            raise RequestErrors(too_complex(f"a cost of {cost}, above {limit}"))
        return found

    async def run(self, operation: Operation, request: Request, viewer: Actor | None, caller: Caller) -> Payload:
        """The answer to a query or mutation. Raises RequestErrors for variables that do not fit, and RATE_LIMITED."""
        with self._operations.timed(operation.kind.value) as outcome:
            payload = await self._run(operation, request, viewer, caller)
            if errors := payload.get("errors"):
                outcome.code = errors[0]["extensions"]["code"]
        return payload

    async def _run(self, operation: Operation, request: Request, viewer: Actor | None, caller: Caller) -> Payload:
        await self._admit(operation, request, viewer, caller)
        context = Context(self.backend, viewer, caller, words=operation.field_names)
        executor = self.executor(operation, request.variables, context)
        try:
            async with asyncio.timeout(self.limits.operation_seconds), self._share(operation, viewer):
                payload = shown(await completed(executor), caller.request_id)
        except TimeoutError:
            late = coded("TIMEOUT", "The operation took too long and was stopped.")
            return {"data": None, "errors": [formatted(late, caller.request_id)]}
        finally:
            await context.close()
        if request.extensions.get("cost"):
            cost = {"requested": operation.cost.of(request.variables), "limit": self.limits.cost}
            payload["extensions"] = {"cost": cost}
        return payload

    def _share(self, operation: Operation, viewer: Actor | None) -> AbstractAsyncContextManager[None]:
        """Held while an operation is executed. Messages need none: a batch takes them all over one connection."""
        if self._rates is None or viewer is None or set(operation.root_fields) <= NEW_MESSAGES.keys():
            return nullcontext()
        return self._shares.setdefault(viewer.user_id, asyncio.Semaphore(AT_ONCE))

    async def subscribe(self, operation: Operation, request: Request, context: Context) -> Any:
        """What the subscription's field resolves to, for this viewer. Raises RequestErrors.

        A database that cannot be asked is asked again until it answers, which counts once against the viewer's rate.
        """
        with self._operations.timed("subscription"):
            await self._admit(operation, request, context.viewer, context.caller)
            return await retry_until_success(
                lambda: self._subscribe_in_turn(operation, request, context), worth=is_outage
            )

    async def _subscribe_in_turn(self, operation: Operation, request: Request, context: Context) -> Any:
        async with self._turn:
            return await self._subscribe(operation, request, context)

    async def _subscribe(self, operation: Operation, request: Request, context: Context) -> Any:
        executor = self.executor(operation, request.variables, context)
        try:
            async with asyncio.timeout(self.limits.operation_seconds):
                stream = create_source_event_stream(executor)
                found = await stream if isinstance(stream, Awaitable) else stream
        finally:  # too late is an outage like any other: an error would end the subscription for good
            await context.close()
        if isinstance(found, ExecutionResult):
            raise_outage(found.errors)
            raise RequestErrors(*(found.errors or ()))
        return found

    async def _admit(self, operation: Operation, request: Request, viewer: Actor | None, caller: Caller) -> None:
        if self._rates is not None:
            await self._rates.admit(operation, operation.cost.of(request.variables), viewer, caller)

    def executor(
        self,
        operation: Operation,
        variables: dict[str, Any],
        context: Context,
        kind: type[BoundedExecutor] = BoundedExecutor,
    ) -> BoundedExecutor:
        """Raises RequestErrors for variables that do not fit."""
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
        bounded = cast("BoundedExecutor", built)
        bounded.bound(self.limits)
        return bounded


async def completed(executor: BoundedExecutor) -> ExecutionResult:
    result = executor.execute_operation()
    return executor.checked(cast("ExecutionResult", await result if isinstance(result, Awaitable) else result))


def raise_outage(errors: Sequence[GraphQLError] | None) -> None:
    """Raise what lies behind these errors if it is that the database could not be asked."""
    for cause in map(cause_of, errors or ()):
        if cause is not None and is_outage(cause):
            raise cause


def shown(result: ExecutionResult, request_id: str) -> Payload:
    payload: Payload = {"data": result.data}
    if result.errors:
        payload["errors"] = [formatted(error, request_id) for error in result.errors]
    return payload


def refused(errors: RequestErrors, request_id: str) -> Payload:
    """The answer to a request that was not executed: no `data` at all, as the specification says."""
    return {"errors": [formatted(error, request_id) for error in errors.errors]}


def _is_awaitable(value: Any) -> TypeGuard[Awaitable[Any]]:
    """Resolvers give coroutines and futures, nothing else that waits. The library's general question, asked of every
    value, costs more than most fields."""
    return isinstance(value, PENDING)
