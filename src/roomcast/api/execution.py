"""Running operations: one request in, one answer out, with every error translated and every wait limited."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeGuard, cast

import strawberry
from graphql import ExecutionResult, Executor, GraphQLError, create_source_event_stream
from prometheus_client import CollectorRegistry
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from roomcast.api.context import PENDING, Backend, Caller, Context
from roomcast.api.documents import Documents, Operation, RequestErrors
from roomcast.api.errors import blamed, cause_of, coded, formatted
from roomcast.api.limits import Limits, too_complex
from roomcast.api.persisted import PersistedQueries
from roomcast.api.rates import Rates
from roomcast.api.requests import Request
from roomcast.core.actor import Actor
from roomcast.core.db import is_outage
from roomcast.core.metrics import Operations
from roomcast.realtime.retry import until_it_works

Payload = dict[str, Any]

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
        operations: Operations | None = None,
        *,
        introspection: bool,
    ) -> None:
        """Without `rates`, everybody may ask for as much as they like."""
        self.schema, self.backend, self.limits = schema._schema, backend, limits
        self.documents = Documents(self.schema, limits, introspection=introspection)
        self._turn = asyncio.Semaphore(BEGIN_AT_ONCE)
        self._persisted, self._rates = persisted or PersistedQueries(automatic=True), rates
        self._operations = operations or Operations(CollectorRegistry())

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
        if (cost := found.cost.of(request.variables)) > self.limits.cost:
            raise RequestErrors(too_complex(f"a cost of {cost}, above {self.limits.cost}"))
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
        context = Context(self.backend, viewer, caller, words=operation.words)
        executor = self.executor(operation, request.variables, context)
        try:
            async with asyncio.timeout(self.limits.operation_seconds):
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

    async def subscribe(self, operation: Operation, request: Request, context: Context) -> Any:
        """What the subscription's field resolves to, for this viewer. Raises RequestErrors.

        A database that cannot be asked is asked again until it answers, which counts once against the viewer's rate.
        """
        with self._operations.timed("subscription"):
            await self._admit(operation, request, context.viewer, context.caller)
            return await until_it_works(lambda: self._subscribe_in_turn(operation, request, context), worth=is_outage)

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
        kind: type[Executor[Any]] = StrawberryGraphQLCoreExecutionContext,
    ) -> Executor[Any]:
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
            raise RequestErrors(*(blamed(error, "BAD_USER_INPUT") for error in built))
        return built


async def completed(executor: Executor[Any]) -> ExecutionResult:
    result = executor.execute_operation()
    return cast("ExecutionResult", await result if isinstance(result, Awaitable) else result)


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


def refusal(error: GraphQLError, request_id: str) -> Payload:
    return {"errors": [formatted(error, request_id)]}


def _is_awaitable(value: Any) -> TypeGuard[Awaitable[Any]]:
    """Resolvers give coroutines and futures, nothing else that waits. The library's general question, asked of every
    value, costs more than most fields."""
    return isinstance(value, PENDING)
