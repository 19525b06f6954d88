"""One graphql-transport-ws connection: its handshake, its person, its operations, its end.

One bad operation never hurts the others. Everything leaves through one outbox, so order is what was said; results of
streams are shared bytes that `realtime` hands out.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from graphql import OperationType

from roomcast.accounts.policy import SessionEndReason
from roomcast.api.context import Caller, Context
from roomcast.api.errors import coded_error, root_cause, stream_failure
from roomcast.api.execution.documents import Operation, RequestErrors
from roomcast.api.execution.engine import Engine, request_errors_payload
from roomcast.api.execution.requests import Request, parse_request
from roomcast.api.execution.room_renderer import RoomEventRenderer, group_key
from roomcast.api.schema.inbox.inbox import Inbox, InboxStream
from roomcast.api.schema.server import MAX_SUBSCRIPTIONS
from roomcast.api.websocket import operations, protocol, timeouts
from roomcast.api.websocket.admission import Admission
from roomcast.api.websocket.operations import ActiveOperation, ActiveOperations, Attached, ResumeMap
from roomcast.api.websocket.protocol import CloseCode, Malformed, Message
from roomcast.api.websocket.timeouts import AsgiConnection, NotAdmitted, Timeouts
from roomcast.core.actor import Actor
from roomcast.core.db import is_outage
from roomcast.core.errors import ResumeExpired
from roomcast.core.ids import uuid7
from roomcast.live.room_streams import AudienceMember, Stream, StreamEndReason
from roomcast.live.topics import room_topic
from roomcast.realtime.hub import Hub
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.ports import Failure
from roomcast.realtime.reader import Subscriber
from roomcast.realtime.retry import retry_until_success
from roomcast.server.websocket_protocol import DRAINED, LEAVE, WRITE

LAST_WORDS_SECONDS = 0.5
"""How long the operations and streams of an ended session may take to say their last."""

MISSED_HEARTBEATS = 2

log = logging.getLogger("roomcast.socket")


class Connection:
    def __init__(
        self, engine: Engine, hub: Hub, crowd: "Admission[Connection]", pace: Timeouts, connection: AsgiConnection
    ) -> None:
        self._engine, self._hub, self._crowd, self._pace = engine, hub, crowd, pace
        self._scope, self._receive, self._send = connection
        self.viewer: Actor | None = None
        self._abort = partial(timeouts.abort, self._scope)
        write, drained = timeouts.extension(self._scope, WRITE), timeouts.extension(self._scope, DRAINED)
        self._outbox = Outbox(self._send, self._abort, pace.stall, write, drained)
        self._parting: asyncio.Task[None] | None = None
        self._initialising: asyncio.Task[None] | None = None
        self._is_acknowledged = False
        self._operations = ActiveOperations(hub)
        self._last_words: list[asyncio.Task[None]] = []
        self.is_over = False
        self._opened_at = time.monotonic()
        self._unanswered = 0
        self._closed = False

    # ------------------------------------------------------------------ its life

    async def run(self) -> None:
        """Serve the connection until either side ends it; nothing of it is left afterwards."""
        self._scope.setdefault("extensions", {})[LEAVE] = self.leave
        try:
            while await self._next():
                pass
        finally:
            await self._end()

    async def _next(self) -> bool:
        """Handle one message; False when the connection is over."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            return False
        self._unanswered = 0
        if self._closed:
            return True
        try:
            await self._handle(protocol.read(event.get("text")))
        except Malformed as error:
            await self.close(CloseCode.BAD_REQUEST, str(error))
        return True

    async def _end(self) -> None:
        self._closed = True
        own = [task for task in (self._initialising, self._parting) if task]
        tasks = [*own, *self._operations.tasks]
        for task in own:
            task.cancel()
        for operation in self._operations:
            self._operations.stop(operation)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._outbox.close()

    async def close(self, code: CloseCode, reason: str) -> None:
        """End the connection, once. What follows on it is ignored."""
        if self._closed:
            return
        self._closed = True
        message = {"type": "websocket.close", "code": int(code), "reason": protocol.short(reason)}
        try:
            async with asyncio.timeout(self._pace.close):
                await self._outbox.idle()
                await self._send(message)
        except Exception:  # a peer that takes nothing, or is gone
            self._abort()

    def end_session(self, session_id: UUID, why: SessionEndReason) -> None:
        """This session is over: the streams that were opened under it say so and end, and so do those that are being
        opened. If the connection acts for it, what runs is answered, and it closes with 4401."""
        if self.viewer is not None and self.viewer.session_id == session_id and not self.is_over:
            self.is_over = True
            self.part(CloseCode.UNAUTHORIZED, "Session ended", finish_seconds=LAST_WORDS_SECONDS)
        for operation in self._operations.of_session(session_id):
            operation.session_ended = True  # one that is being opened finds it before it is attached
            if operation.attached is not None:
                self._last_words.append(operation.attached.reader.end(StreamEndReason(why.value)))
            elif operation.inbox is not None:
                self._finish(operation)

    def part(self, code: CloseCode, reason: str, *, finish_seconds: float = 0) -> None:
        """Begin to end the connection: nobody waits for a peer that takes its time. What runs may finish first."""
        if self._parting is None:
            self._parting = asyncio.create_task(self._part(code, reason, finish_seconds), name="parting")

    async def _part(self, code: CloseCode, reason: str, finish_seconds: float) -> None:
        running = [*self._operations.tasks, *self._last_words]
        if running and finish_seconds:
            await asyncio.wait(running, timeout=finish_seconds)
        await self.close(code, reason)

    def leave(self) -> None:
        """The server stops: answer what has been asked, take nothing new, and send the client elsewhere."""
        self.part(CloseCode.SERVICE_RESTART, "Service restart", finish_seconds=self._pace.finish)

    def tick(self, *, heartbeat: bool) -> None:
        """What time brings: pings, their absence, the end of the access token, or of patience with a mute client."""
        if self._closed:
            return
        if self._initialising is None:
            if time.monotonic() - self._opened_at > self._pace.init:
                self.part(CloseCode.TIMEOUT, "Connection initialisation timeout")
        elif not self._is_acknowledged:  # the client has done its part: our own slowness is not its fault
            return
        elif self._is_expired(heartbeat=heartbeat):
            self.part(CloseCode.FORBIDDEN, "Access token expired")
        elif heartbeat and self._unanswered >= MISSED_HEARTBEATS:
            self.part(CloseCode.TIMEOUT, "Heartbeat missed")
        elif heartbeat:
            self._unanswered += 1
            self._ping(self._operations.streams)

    def _is_expired(self, *, heartbeat: bool) -> bool:
        """Whether an access token has ended: the connection's, or that of a stream from before it changed hands."""
        if self.viewer is not None and operations.is_spent(self.viewer, self._pace.grace):
            return True
        return heartbeat and self._operations.is_expired(self._pace.grace)

    def _ping(self, streams: Collection[ActiveOperation]) -> None:
        """A ping that says where these streams are, as far as the client has not been told."""
        cursors = self._operations.cursors(self._engine.backend.epoch, streams)
        self._outbox.put(protocol.write("ping", payload={"cursors": cursors} if cursors else None))

    # ------------------------------------------------------------------ messages

    async def _handle(self, message: Message) -> None:
        if message.type == "connection_init":
            await self._begin_init(message.payload)
        elif message.type == "ping":
            if not self._outbox.is_blocked:  # pongs for one that only asks and never reads would fill the memory
                self._outbox.put(protocol.write("pong", payload=message.payload or None))
        elif message.type == "subscribe":
            await self._subscribe(message)
        elif message.type == "complete" and (operation := self._operations.get(message.id)):
            self._operations.stop(operation)

    async def _begin_init(self, payload: dict[str, Any]) -> None:
        if self._initialising is not None:
            await self.close(CloseCode.TOO_MANY_INITIALISATION_REQUESTS, "Too many initialisation requests")
            return
        self._initialising = asyncio.create_task(self._init(payload), name="connection_init")

    async def _init(self, payload: dict[str, Any]) -> None:
        await self._crowd.limiter.acquire()
        try:
            self.viewer = await timeouts.authenticate(self._engine.backend.sessions, self._scope, payload)
        except NotAdmitted as refusal:
            return await self.close(refusal.code, refusal.reason)
        self._operations.resume = ResumeMap(payload.get("resume"))
        if self.viewer is not None:
            if not self._crowd.has_capacity_for(self.viewer.user_id):
                return await self.close(CloseCode.TRY_AGAIN_LATER, "Too many connections")
            self._crowd.assign(self, None, self.viewer)
        self._outbox.put(protocol.write("connection_ack", payload=timeouts.acknowledgement(self.viewer, self._pace)))
        self._is_acknowledged = True
        return None

    async def _subscribe(self, message: Message) -> None:
        if not self._is_acknowledged:
            return await self.close(CloseCode.UNAUTHORIZED, "Unauthorized")
        if self._parting is not None:  # the client asks again where it connects next
            return None
        if self._operations.get(message.id):
            return await self.close(CloseCode.SUBSCRIBER_ALREADY_EXISTS, f"Subscriber for {message.id} already exists")
        if len(self._operations) >= MAX_SUBSCRIPTIONS:
            limit = operations.limit_reached(f"A connection carries at most {MAX_SUBSCRIPTIONS} operations at a time.")
            return self._error(message.id, limit, str(uuid7()))
        operation = self._operations.begin(message.id, self.viewer)  # before the first wait: who sent it is settled
        operation.task = asyncio.create_task(self._operate(operation, message), name=f"operation {message.id}")
        return None

    # ------------------------------------------------------------------ operations

    async def _operate(self, active: ActiveOperation, message: Message) -> None:
        caller = self._caller(active)
        try:
            await self._run(active, parse_request(message.payload), caller)
        except RequestErrors as errors:
            if any(isinstance(root_cause(error), ResumeExpired) for error in errors.errors):
                self._operations.use_cursor(active)
            self._error(active.id, errors, caller.request_id)
        except TimeoutError:  # an error message would end the subscription for good; this brings the client back
            await self.close(CloseCode.TRY_AGAIN_LATER, "Try again later")
        except Exception as error:  # ours: this operation fails, the socket lives on
            internal = coded_error("INTERNAL", "Something went wrong on our side.")
            self._error(active.id, RequestErrors(internal), caller.request_id)
            log.error("operation failed, request %s", caller.request_id, exc_info=error)
        finally:
            active.task = None
            if not active.is_started:
                self._operations.stop(active)

    async def _run(self, active: ActiveOperation, request: Request, caller: Caller) -> None:
        operation = await self._engine.parse_operation(request, caller)
        if operation.kind is OperationType.SUBSCRIPTION:
            active.is_subscription = True
            async with asyncio.timeout(self._pace.patience):
                await self._open(active, operation, request, caller)
            return
        present = await self._present(active)
        await self._crowd.limiter.acquire()
        answer = await self._engine.run(operation, request, present, caller)
        self._say("next", active.id, orjson.dumps(answer))
        self._say("complete", active.id)

    async def _open(self, active: ActiveOperation, operation: Operation, request: Request, caller: Caller) -> None:
        present = await retry_until_success(lambda: self._present(active), worth=is_outage)
        await self._crowd.limiter.acquire()
        context = Context(self._engine.backend, present, caller)
        stream: Stream | InboxStream = await self._engine.subscribe(operation, request, context)
        if isinstance(stream, InboxStream):
            self._open_inbox(active, operation, request, stream, context.actor)
        else:
            await self._open_stream(active, operation, request, stream, context.actor)

    def _admit_stream(self, active: ActiveOperation, viewer: Actor) -> None:
        """The last look before a stream is attached; no wait may come between. Raises RequestErrors.

        Since its session was last looked at, it may have ended, and the connection may act for somebody else.
        """
        if active.is_stopped:  # a cancellation that somebody below has swallowed
            raise asyncio.CancelledError
        if self.is_over or active.session_ended:
            raise operations.session_over()
        if self.viewer is None or self.viewer.user_id != viewer.user_id:
            raise RequestErrors(coded_error("UNAUTHENTICATED", "this connection acts for somebody else now"))
        if not self._crowd.may_stream(viewer.user_id):
            raise operations.limit_reached("You have as many subscriptions open as one person may have.")

    async def _open_stream(
        self, active: ActiveOperation, operation: Operation, request: Request, stream: Stream, viewer: Actor
    ) -> None:
        script = partial(RoomEventRenderer, self._engine, operation, request, stream)
        async with self._hub.topic(room_topic(stream.start_at.room_id)) as topic:
            if topic is None:
                raise RequestErrors(coded_error("NOT_FOUND", "no such room"))
            self._admit_stream(active, viewer)
            listener = Subscriber(
                self._outbox,
                AudienceMember(viewer.user_id, viewer),
                protocol.head("next", active.id) + b',"payload":',
                b"}",
                partial(self._over, active),
                partial(self._failed, active),
            )
            key = group_key(operation, request, stream)
            reader = self._hub.attach(topic, key, script, listener, stream.start_at.after)
            active.attached = Attached(topic, reader)
            self._operations.streams.add(active)
            await topic.recheck_rights(reader, stream.start_at.tail)
        active.is_started = True  # or it says its last words already
        if reader.is_open:
            stream.start(reader, self._engine.backend.epoch)
            self._operations.use_cursor(active)
            self._announce(active, stream)

    def _announce(self, active: ActiveOperation, stream: Stream) -> None:
        """Tell the client where a stream without words of its own begins, and from now on where it is."""
        if stream.has_control_events or stream.feed_in is not None:
            return
        active.announces = stream.start_at.room_id
        if stream.start_at.after is None:
            self._ping([active])

    def _open_inbox(
        self, active: ActiveOperation, operation: Operation, request: Request, stream: InboxStream, viewer: Actor
    ) -> None:
        self._admit_stream(active, viewer)
        head = protocol.head("next", active.id) + b',"payload":'

        def send(payload: bytes) -> bool:
            return self._outbox.offer(head, payload, b"}")

        active.inbox = Inbox(self._engine, operation, request, stream, viewer, send)
        active.is_started = True
        self._operations.streams.add(active)
        active.inbox.start(self._outbox, partial(self._failed, active, Failure.INTERNAL))

    def _over(self, active: ActiveOperation) -> None:
        """The server ended a stream."""
        if active in self._operations.streams and active.attached is not None:
            self._operations.forget(active)
            self._hub.release(active.attached.topic)
            active.attached = None  # the reader holds the operation
            self._say("complete", active.id)

    def _finish(self, active: ActiveOperation) -> None:
        self._operations.stop(active)
        self._say("complete", active.id)

    def _failed(self, active: ActiveOperation, failure: Failure) -> None:
        """A stream or an inbox cannot go on: its client is told so by an error, and may subscribe again."""
        if active not in self._operations:
            return
        self._operations.stop(active)
        self._hub.failed += failure is Failure.INTERNAL
        self._error(active.id, RequestErrors(stream_failure(failure)), str(uuid7()))

    def _say(self, kind: str, id_: str, payload: bytes | None = None) -> None:
        body = b',"payload":' + payload if payload is not None else b""
        self._outbox.put(protocol.head(kind, id_) + body + b"}")

    def _error(self, id_: str, errors: RequestErrors, request_id: str) -> None:
        self._say("error", id_, orjson.dumps(request_errors_payload(errors, request_id)["errors"]))

    # ------------------------------------------------------------------ its person

    async def _present(self, active: ActiveOperation) -> Actor | None:
        """Whom it acts for, with the rights they have now. Raises RequestErrors once their session ended."""
        if (actor := active.actor) is None:
            return None
        standing = await self._engine.backend.sessions.status(actor.session_id)
        if standing.end_reason is not None:
            self.end_session(actor.session_id, standing.end_reason)
            raise operations.session_over()
        return replace(actor, is_admin=standing.is_admin)

    def _caller(self, active: ActiveOperation) -> Caller:
        adopt, cursor = partial(self.adopt, active), partial(self._operations.resume.cursor, active)
        return Caller(str(uuid7()), timeouts.address(self._scope), adopt, cursor, timeouts.origin(self._scope))

    def adopt(self, active: ActiveOperation, actor: Actor) -> None:
        """A sign-in or renewal by this operation: the connection acts for that session from here on.

        Another person's streams end, open or being opened; those of another session of the same person stay with it.
        Where the person has no place for one more connection, this one closes once it has answered.
        """
        if active not in self._operations:  # given up meanwhile, maybe with the connection
            return
        active.actor = actor
        for foreign in self._operations.hand_over(actor):
            self._finish(foreign)
        is_mine = self.viewer is not None and self.viewer.user_id == actor.user_id
        if not is_mine and not self._crowd.has_capacity_for(actor.user_id):
            self.part(CloseCode.TRY_AGAIN_LATER, "Too many connections", finish_seconds=LAST_WORDS_SECONDS)
            return
        before, self.viewer = self.viewer, actor
        self._crowd.assign(self, before, actor)

    @property
    def streams(self) -> Collection[ActiveOperation]:
        return self._operations.streams

    @property
    def sessions(self) -> set[UUID]:
        """All that the connection, or anything on it, acts for."""
        return self._operations.sessions | ({self.viewer.session_id} if self.viewer else set())
