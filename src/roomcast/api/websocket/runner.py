"""Runs one operation of a connection: answers a query or mutation, or opens the stream of a subscription.

An operation that fails never affects the others of its connection.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import orjson
from graphql import OperationType

from roomcast import tracing
from roomcast.accounts.policy import SessionEndReason
from roomcast.api.context import Caller, Context
from roomcast.api.errors import coded_error, root_cause, stream_failure, unexpected_error
from roomcast.api.execution.documents import Operation, RequestErrors
from roomcast.api.execution.engine import Engine
from roomcast.api.execution.requests import Request, parse_request
from roomcast.api.execution.streams import Attached, OpenResult, StreamOpening, SubscriptionStream
from roomcast.api.request_ids import trace_id
from roomcast.api.websocket import protocol
from roomcast.api.websocket.admission import Admission
from roomcast.api.websocket.operations import ActiveOperation, ActiveOperations
from roomcast.api.websocket.positions import ping_message
from roomcast.api.websocket.protocol import CloseCode
from roomcast.api.websocket.timeouts import Timeouts
from roomcast.api.websocket.transport import Transport
from roomcast.core.actor import Actor
from roomcast.core.db import is_outage
from roomcast.core.errors import ResumeExpired
from roomcast.core.ids import uuid7
from roomcast.core.telemetry import TRACE_ID
from roomcast.realtime.hub import Hub
from roomcast.realtime.ports import Failure
from roomcast.realtime.retry import retry_until_success


class Services(NamedTuple):
    """What all connections of a process share."""

    engine: Engine
    hub: Hub
    admission: Admission[Any]
    timeouts: Timeouts


class OperationConnection(Protocol):
    """The connection, as an operation on it sees it."""

    viewer: Actor | None
    session_ended: bool
    operations: ActiveOperations

    @property
    def services(self) -> Services: ...

    @property
    def transport(self) -> Transport: ...

    async def close(self, code: CloseCode, reason: str) -> None: ...

    def end_session(self, session_id: UUID, reason: SessionEndReason) -> None: ...

    def adopt(self, active: ActiveOperation, actor: Actor) -> None: ...


class OperationRunner:
    """One per operation. It lives as long as the operation's task, or its stream."""

    __slots__ = ("_active", "_connection")

    def __init__(self, connection: OperationConnection, active: ActiveOperation) -> None:
        self._connection, self._active = connection, active

    async def run(self, payload: dict[str, Any]) -> None:
        """Run the operation of a `subscribe` message and send its result or error."""
        active, connection = self._active, self._connection
        caller = self._caller()
        try:
            request = parse_request(payload)
            traceparent = request.extensions.get("traceparent")
            with tracing.request_span("graphql-transport-ws subscribe", traceparent):
                if found := trace_id(tracing.current() or traceparent):
                    TRACE_ID.set(found)
                await self._run(request, caller)
        except RequestErrors as errors:
            if any(isinstance(root_cause(error), ResumeExpired) for error in errors.errors):
                connection.operations.use_cursor(active)
            connection.transport.send_error(active.id, errors, caller.request_id)
        except TimeoutError:  # an error message would end the subscription for good; a 1013 makes the client reconnect
            await connection.close(CloseCode.TRY_AGAIN_LATER, "Try again later")
        except Exception as error:  # an outage, or a bug of ours: this operation fails, the connection stays open
            failure = RequestErrors(unexpected_error(error, caller.request_id))
            connection.transport.send_error(active.id, failure, caller.request_id)
        finally:
            # Also after a cancellation at any of the waits above: a stream that is attached but not started is stopped.
            active.task = None
            if not active.is_started:
                connection.operations.stop(active)

    def _caller(self) -> Caller:
        connection, active = self._connection, self._active
        return Caller(
            connection.transport.http_request_id or str(uuid7()),
            connection.transport.ip_address,
            partial(connection.adopt, active),
            partial(connection.operations.resume.cursor, active),
            connection.transport.origin,
        )

    async def _run(self, request: Request, caller: Caller) -> None:
        engine, _, admission, timeouts = self._connection.services
        operation = await engine.parse_operation(request, caller)
        if operation.kind is OperationType.SUBSCRIPTION:
            self._active.is_subscription = True
            async with asyncio.timeout(timeouts.subscribe), admission.opening_slots:
                await self._open_stream(operation, request, caller)
            return
        with engine.operations.failures(operation.kind.value):
            viewer = await self._current_viewer()
        await admission.limiter.acquire()
        payload = await engine.run(operation, request, viewer, caller)
        transport = self._connection.transport
        transport.send("next", self._active.id, orjson.dumps(payload))
        transport.send("complete", self._active.id)

    async def _current_viewer(self) -> Actor | None:
        """The operation's actor with current rights. Raises RequestErrors if the session has ended."""
        if (actor := self._active.actor) is None:
            return None
        status = await self._connection.services.engine.backend.sessions.status(actor.session_id)
        if status.end_reason is not None:
            self._connection.end_session(actor.session_id, status.end_reason)
            raise _session_ended()
        return actor if actor.is_admin == status.is_admin else replace(actor, is_admin=status.is_admin)

    # ------------------------------------------------------------------ streams

    async def _open_stream(self, operation: Operation, request: Request, caller: Caller) -> None:
        engine, hub, admission, _ = self._connection.services
        viewer = await retry_until_success(self._current_viewer, worth=is_outage)
        await admission.limiter.acquire()
        context = Context(engine.backend, viewer, caller)
        stream: SubscriptionStream = await engine.subscribe(operation, request, context)
        opening = StreamOpening(
            engine,
            hub,
            operation,
            request,
            context.actor,
            self._connection.transport.outbox,
            protocol.encode_head("next", self._active.id) + b',"payload":',
            b"}",
            partial(self._attach, context.actor),
            self._on_stream_end,
            self._on_stream_failure,
        )
        result = await stream.open(opening)
        # From here on the stream ends by itself or by `stop`. There is no wait between its start and this line.
        self._active.is_started = True
        if result is not OpenResult.ENDED:
            self._connection.operations.use_cursor(self._active)
            self._announce_position(result)

    def _announce_position(self, result: OpenResult) -> None:
        """Let pings tell this stream's position, and tell it now to a client that does not know where it begins."""
        active = self._active
        if active.stream is None or active.stream.announced_position() is None:
            return
        active.announces_position = True
        if result is OpenResult.LIVE:
            self._connection.transport.outbox.put(
                ping_message([active], self._connection.services.engine.backend.epoch)
            )

    def _attach(self, viewer: Actor, create: Callable[[], Attached]) -> Attached:
        """`StreamOpening.attach`."""
        # Check again what may have changed while the stream was opened: the session may have ended, the connection
        # may have another viewer, and other streams may have taken the last places. Raises RequestErrors.
        active, connection = self._active, self._connection
        if active.is_stopped:  # a library below has swallowed the cancellation
            raise asyncio.CancelledError
        if connection.session_ended or active.session_ended:
            raise _session_ended()
        if connection.viewer is None or connection.viewer.user_id != viewer.user_id:
            raise RequestErrors(coded_error("UNAUTHENTICATED", "This connection acts for another user now."))
        if not connection.services.admission.may_open_stream(viewer.user_id):
            raise subscription_limit("You have as many subscriptions open as one user may have.")
        stream = self._active.stream = create()
        self._connection.operations.streams.append(self._active)
        return stream

    def _on_stream_end(self) -> None:
        """The server has ended the stream. One that was stopped meanwhile is forgotten already."""
        active, operations = self._active, self._connection.operations
        if active in operations.streams and active.stream is not None:
            operations.forget(active)
            active.stream = None  # breaks the cycle operation → stream → callbacks → operation
            self._connection.transport.send("complete", active.id)

    def _on_stream_failure(self, failure: Failure) -> None:
        """The stream cannot go on: send an error, after which the client may subscribe again."""
        active, connection = self._active, self._connection
        if active not in connection.operations:
            return
        connection.operations.stop(active)
        connection.services.hub.failed += failure is Failure.INTERNAL
        connection.transport.send_error(active.id, RequestErrors(stream_failure(failure)), str(uuid7()))


def subscription_limit(message: str) -> RequestErrors:
    return RequestErrors(coded_error("SUBSCRIPTION_LIMIT", message))


def _session_ended() -> RequestErrors:
    return RequestErrors(coded_error("UNAUTHENTICATED", "This session has ended; sign in again."))
