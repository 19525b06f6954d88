"""One graphql-transport-ws connection: its state, its messages, its viewer and its close.

All messages leave through one outbox, so the client gets them in the order in which they were sent. The payloads of
streams are bytes that `realtime` shares between the subscribers of one group.
"""

import asyncio
import logging
import random
from collections.abc import Collection, Coroutine
from contextvars import copy_context
from enum import IntEnum, auto
from typing import Any
from uuid import UUID

from roomcast.accounts.policy import SessionEndReason
from roomcast.api.connection_limits import MAX_SUBSCRIPTIONS_PER_CONNECTION
from roomcast.api.websocket import protocol
from roomcast.api.websocket.handshake import HandshakeRejected, ack_payload, authenticate
from roomcast.api.websocket.operations import ActiveOperation, ActiveOperations, ResumeMap
from roomcast.api.websocket.positions import ping_message
from roomcast.api.websocket.protocol import CloseCode, Malformed, Message
from roomcast.api.websocket.runner import OperationRunner, Services, subscription_limit
from roomcast.api.websocket.timeouts import Heartbeat, is_token_expired, random_age
from roomcast.api.websocket.transport import AsgiCallable, Transport
from roomcast.core.actor import Actor
from roomcast.core.ids import global_id, uuid7
from roomcast.core.telemetry import TRACE_ID, request_fields

logger = logging.getLogger("roomcast.socket")

CLOSES_PER_SECOND = 1_000
"""Connections that a stopping server closes in a second, unless that would take longer than `Timeouts.closing`."""

LAST_MESSAGES_SECONDS = 0.5
"""How long a connection whose session has ended stays open for running operations and the last events of streams."""


class ConnectionState(IntEnum):
    """States follow each other in this order. Any of them may be skipped but CLOSED."""

    CONNECTING = auto()
    """The socket is open, `connection_init` has not arrived."""

    INITIALISING = auto()
    """The access token of `connection_init` is being checked."""

    OPEN = auto()
    """`connection_ack` is sent. Operations are accepted in this state only."""

    CLOSING = auto()
    """The connection closes once running operations have finished, or their time is up."""

    CLOSED = auto()
    """The close frame is sent, or the client is gone. Everything that still arrives is ignored."""


class Connection:
    """`session_ended`: the session of `viewer` is over. It stays set, for the presence of the user.

    An idle connection has no task. It is the `MessageHandler` of an `AcceptedSocket`; `run` serves an ASGI connection.
    """

    __slots__ = (
        "__weakref__",
        "_close_task",
        "_closed_with",
        "_end_task",
        "_has_initialised",
        "_heartbeat",
        "_init_task",
        "_max_age",
        "_stop_timer",
        "operations",
        "services",
        "session_ended",
        "state",
        "transport",
        "viewer",
    )

    def __init__(self, services: Services, transport: Transport) -> None:
        self.services, self.transport = services, transport
        self.state = ConnectionState.CONNECTING
        self.viewer: Actor | None = None
        self.session_ended = False
        self.operations = ActiveOperations()
        self._closed_with: tuple[int, str] | None = None
        """Close code and reason. The first one decides."""
        self._heartbeat = Heartbeat()
        self._has_initialised = False
        """Whether `connection_init` has arrived."""
        self._init_task: asyncio.Task[None] | None = None
        self._close_task: asyncio.Task[None] | None = None
        self._end_task: asyncio.Task[None] | None = None
        self._stop_timer: asyncio.TimerHandle | None = None
        self._max_age = random_age(services.timeouts)

    # ------------------------------------------------------------------ lifecycle

    async def run(self, receive: AsgiCallable) -> None:
        """Serve an ASGI connection until either side closes it. No task or stream of it is left afterwards."""
        try:
            while (event := await receive())["type"] != "websocket.disconnect":
                self.on_message(event.get("text"))
            self._closed_with = self._closed_with or (event.get("code", 1006), event.get("reason") or "")
        finally:
            await self._end()

    def on_disconnect(self, code: int, reason: str) -> None:
        """`MessageHandler`: the socket is closed."""
        self._closed_with = self._closed_with or (code, reason)
        self._end_task = self._start(self._end(), "end connection")

    async def ended(self) -> None:
        """Return when nothing of a connection that was closed is left. Returns at once for one that is open."""
        if self._end_task is not None:
            await asyncio.wait([self._end_task])

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task of this connection, with its trace: messages arrive in a context that all connections share."""
        context = copy_context()
        context.run(TRACE_ID.set, self.transport.trace_id)
        return asyncio.create_task(work, name=name, context=context)

    async def _end(self) -> None:
        """Stop everything that belongs to the connection, and give its place to another one."""
        self.state = ConnectionState.CLOSED
        if self._stop_timer is not None:
            self._stop_timer.cancel()
        own = [task for task in (self._init_task, self._close_task) if task]
        # Collected before the operations are stopped: stopping removes them from the map, with their tasks.
        tasks = [*own, *self.operations.tasks]
        try:
            for task in own:
                task.cancel()
            for operation in self.operations:
                self.operations.stop(operation)
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.transport.outbox.close()
            self._log_end()
        finally:
            address, viewer = self.transport.ip_address or "", self.viewer
            self.services.admission.release(self, address, viewer, for_good=self.session_ended)

    def _log_end(self) -> None:
        """Log the one line of this connection's life. Everything else is counted in metrics."""
        code, reason = self._closed_with or (1006, "")
        fields = request_fields(self.transport.request_id) | {
            "user_id": global_id("user", self.viewer.user_id) if self.viewer else None,
            "address": self.transport.ip_address,
            "seconds": round(self._heartbeat.seconds_open, 1),
            "operations": self.operations.total,
            "events": self.transport.outbox.offered,
            "close_code": code,
            "close_reason": reason,
        }
        logger.info("a socket has closed", extra=fields)

    def on_message(self, text: str | None) -> None:
        """Handle one message; None stands for a binary one."""
        self._heartbeat.on_message()
        if self.state is ConnectionState.CLOSED:
            return
        try:
            self._handle(protocol.parse_message(text))
        except Malformed as error:
            self.close_soon(CloseCode.BAD_REQUEST, str(error))

    async def close(self, code: CloseCode, reason: str) -> None:
        """Send the close frame, once. Later calls do nothing."""
        if self.state is ConnectionState.CLOSED:
            return
        self.state = ConnectionState.CLOSED  # before the wait: another task may call this during it
        self._closed_with = int(code), reason
        await self._send_close(code, reason)

    async def _send_close(self, code: CloseCode, reason: str) -> None:
        try:
            async with asyncio.timeout(self.services.timeouts.close):
                await self.transport.send_close(code, reason)
        except Exception:  # the client reads nothing, or is gone
            self.transport.abort()

    def close_soon(self, code: CloseCode, reason: str) -> None:
        """Handle no further message, and send the close frame in a task."""
        if self._close_task is not None:
            self._close_task.cancel()  # it waits for running operations
        self.state, self._closed_with = ConnectionState.CLOSED, (int(code), reason)
        self._close_task = self._start(self._send_close(code, reason), "close connection")

    def begin_close(self, code: CloseCode, reason: str, *, finish_seconds: float = 0) -> None:
        """Close in a task of its own, so that the caller does not wait for a slow client. Running operations and the
        last events of streams get `finish_seconds` to finish first. The first call decides code and reason."""
        if self.state < ConnectionState.CLOSING:
            self.state = ConnectionState.CLOSING
            closing = self._finish_and_close(code, reason, finish_seconds)
            self._close_task = self._start(closing, "close connection")

    async def _finish_and_close(self, code: CloseCode, reason: str, finish_seconds: float) -> None:
        running = [*self.operations.tasks, *self.operations.ending]
        if running and finish_seconds:
            await asyncio.wait(running, timeout=finish_seconds)
        await self.close(code, reason)

    def schedule_stop(self) -> None:
        """The server stops: go on for a random time, then `on_server_stop`. Later calls do nothing.

        The clients of all connections must not connect to another process at one moment.
        """
        if self._stop_timer is None:
            count = len(self.services.admission.connections)
            seconds = min(self.services.timeouts.closing, count / CLOSES_PER_SECOND)
            delay = random.uniform(0, seconds)  # noqa: S311 (not a secret)
            self._stop_timer = asyncio.get_running_loop().call_later(delay, self.on_server_stop)

    def on_server_stop(self) -> None:
        """Answer running operations, accept no new ones, and make the client reconnect elsewhere."""
        finish_seconds = self.services.timeouts.shutdown
        self.begin_close(CloseCode.SERVICE_RESTART, "Service restart", finish_seconds=finish_seconds)

    def on_tick(self, *, heartbeat: bool) -> None:
        """Check the timeouts; with `heartbeat`, also send a ping."""
        timeouts = self.services.timeouts
        if self.state is ConnectionState.CONNECTING:
            if self._heartbeat.is_older_than(timeouts.init):
                self.begin_close(CloseCode.TIMEOUT, "Connection initialisation timeout")
        elif self.state is not ConnectionState.OPEN:  # INITIALISING: the client waits for us, not the other way round
            return
        elif self._has_expired_token(heartbeat=heartbeat):
            self.begin_close(CloseCode.FORBIDDEN, "Access token expired")
        elif self._max_age is not None and self._heartbeat.is_older_than(self._max_age):
            self.on_server_stop()
        elif heartbeat and self._heartbeat.is_missed:
            self.begin_close(CloseCode.TIMEOUT, "Heartbeat missed")
        elif heartbeat:
            self._heartbeat.on_ping_sent()
            self.transport.outbox.put(ping_message(self.streams, self.services.engine.backend.epoch))

    def _has_expired_token(self, *, heartbeat: bool) -> bool:
        """Whether the access token of the viewer has expired or, checked on heartbeats only, that of a stream which
        another session has opened."""
        grace = self.services.timeouts.grace
        if self.viewer is not None and is_token_expired(self.viewer, grace):
            return True
        return heartbeat and self.operations.has_expired_stream(grace)

    # ------------------------------------------------------------------ messages

    def _handle(self, message: Message) -> None:
        if message.type == "connection_init":
            if self._has_initialised:
                self.close_soon(CloseCode.TOO_MANY_INITIALISATION_REQUESTS, "Too many initialisation requests")
            elif self.state is ConnectionState.CONNECTING:
                self.state, self._has_initialised = ConnectionState.INITIALISING, True
                self._init_task = self._start(self._initialise(message.payload), "connection_init")
        elif message.type == "ping":
            # A client that sends pings and reads nothing would fill the memory with pongs.
            if not self.transport.outbox.is_blocked:
                self.transport.outbox.put(protocol.encode_message("pong", payload=message.payload or None))
        elif message.type == "subscribe":
            self._on_subscribe(message)
        elif message.type == "complete" and (operation := self.operations.get(message.id)):
            self.operations.stop(operation)

    async def _initialise(self, payload: dict[str, Any]) -> None:
        try:
            await self.services.admission.limiter.acquire()  # here, where the task holds little memory
            await self._authenticate(payload)
        finally:
            self._init_task = None  # with thousands of connections, finished tasks cost memory

    async def _authenticate(self, payload: dict[str, Any]) -> None:
        engine, _, admission, timeouts = self.services
        headers, self.transport.headers = self.transport.headers, None
        try:
            viewer = await authenticate(engine.backend.sessions, headers or (), payload)
        except HandshakeRejected as rejection:
            return await self.close(rejection.code, rejection.reason)
        if self.state is not ConnectionState.INITIALISING:  # it began to close while the token was checked
            return None
        # No wait from here to OPEN: in it, another connection could take the last place, or the session could end.
        if "resume" in payload:
            self.operations.resume = ResumeMap(payload["resume"])
        if viewer is not None:
            if not admission.has_capacity_for(viewer.user_id):
                return await self.close(CloseCode.TRY_AGAIN_LATER, "Too many connections")
            self.viewer = viewer
            admission.assign(self, None, viewer)
        self.transport.outbox.put(protocol.encode_message("connection_ack", payload=ack_payload(viewer, timeouts)))
        self.state = ConnectionState.OPEN
        return None

    def _on_subscribe(self, message: Message) -> None:
        if self.state < ConnectionState.OPEN:
            self.close_soon(CloseCode.UNAUTHORIZED, "Unauthorized")
        elif self.state is not ConnectionState.OPEN:  # the client sends it again on its next connection
            pass
        elif self.operations.get(message.id):
            self.close_soon(CloseCode.SUBSCRIBER_ALREADY_EXISTS, f"Subscriber for {message.id} already exists")
        elif len(self.operations) >= MAX_SUBSCRIPTIONS_PER_CONNECTION:
            limit = f"A connection carries at most {MAX_SUBSCRIPTIONS_PER_CONNECTION} operations at a time."
            self.transport.send_error(message.id, subscription_limit(limit), str(uuid7()))
        else:
            # The actor is fixed here, before the first wait: a later `adopt` does not change who has sent this.
            active = self.operations.begin(message.id, self.viewer)
            running = OperationRunner(self, active).run(message.payload)
            active.task = self._start(running, f"operation {message.id}")

    # ------------------------------------------------------------------ viewer and sessions

    def adopt(self, active: ActiveOperation, actor: Actor) -> None:
        """The operation `active` has signed in or refreshed a session: the connection now acts for that session.

        Subscriptions of another user end, also those that are being opened. Those of another session of the same user
        stay with it. Where the user has too many connections, this one closes once it has answered.
        """
        if active not in self.operations:  # the client has ended the operation, or the connection, meanwhile
            return
        active.actor = actor
        for foreign in self.operations.change_actor(actor):
            self._complete(foreign)
        is_same_user = self.viewer is not None and self.viewer.user_id == actor.user_id
        if not is_same_user and not self.services.admission.has_capacity_for(actor.user_id):
            reason = "Too many connections"
            self.begin_close(CloseCode.TRY_AGAIN_LATER, reason, finish_seconds=LAST_MESSAGES_SECONDS)
            return
        previous, self.viewer = self.viewer, actor
        self.services.admission.assign(self, previous, actor)

    def end_session(self, session_id: UUID, reason: SessionEndReason) -> None:
        """The session is over: its streams send their last event and end.

        If the connection acts for that session, running operations are answered and it closes with 4401.
        """
        if self.viewer is not None and self.viewer.session_id == session_id and not self.session_ended:
            self.session_ended = True
            self.begin_close(CloseCode.UNAUTHORIZED, "Session ended", finish_seconds=LAST_MESSAGES_SECONDS)
        for operation in self.operations.of_session(session_id):
            operation.session_ended = True  # a stream that is being opened checks this before it is attached
            if operation.stream is None:
                continue
            if ending := operation.stream.end(reason):
                self.operations.ending.append(ending)
            else:
                self._complete(operation)

    def _complete(self, operation: ActiveOperation) -> None:
        self.operations.stop(operation)
        self.transport.send("complete", operation.id)

    # ------------------------------------------------------------------ for admission

    @property
    def streams(self) -> Collection[ActiveOperation]:
        return self.operations.streams

    @property
    def sessions(self) -> set[UUID]:
        """The sessions of the viewer and of all operations."""
        return self.operations.sessions | ({self.viewer.session_id} if self.viewer else set())
