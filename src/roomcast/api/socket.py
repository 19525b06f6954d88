"""One graphql-transport-ws connection: its handshake, its person, its operations, its end.

One bad operation never hurts the others. Everything leaves through one outbox, so order is what was said; results of
streams are shared bytes that `realtime` hands out.
"""

import asyncio
import logging
import time
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import orjson
from graphql import GraphQLError, OperationType

from roomcast.accounts.policy import Ending
from roomcast.api import protocol, tokens, wire
from roomcast.api.context import Caller, Context
from roomcast.api.crowd import Crowd
from roomcast.api.documents import Operation, RequestErrors
from roomcast.api.errors import coded
from roomcast.api.events import StreamEndReason
from roomcast.api.execution import Engine, refused
from roomcast.api.inbox import Inbox, InboxStream
from roomcast.api.protocol import CloseCode, Malformed, Message
from roomcast.api.requests import Request, read_request
from roomcast.api.scalars import show_time
from roomcast.api.server import MAX_SUBSCRIPTIONS
from roomcast.api.showing import Person
from roomcast.api.subscriptions import RoomScript, Stream, group_key, topic_of
from roomcast.api.transport import LEAVE, WRITE
from roomcast.api.wire import Pace, Wire
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import is_outage
from roomcast.core.errors import TokenExpired, Unauthenticated
from roomcast.core.ids import global_id, uuid7
from roomcast.realtime.hub import Hub
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.reader import Listener, Reader
from roomcast.realtime.retry import until_it_works
from roomcast.realtime.source import Failure
from roomcast.realtime.topic import Topic

LAST_WORDS_SECONDS = 0.5
"""How long the operations and streams of an ended session may take to say their last."""

MISSED_HEARTBEATS = 2

FAILURES = {
    Failure.INTERNAL: "Something went wrong on our side.",
    Failure.EXPIRED: "the log has lost what this stream would go on from; fetch the history and subscribe anew",
}

log = logging.getLogger("roomcast.socket")


def _limit(message: str) -> GraphQLError:
    return coded("SUBSCRIPTION_LIMIT", message)


def _session_over() -> GraphQLError:
    return coded("UNAUTHENTICATED", "this session has ended; sign in again")


class Attached(NamedTuple):
    topic: Topic
    reader: Reader


class Socket:
    def __init__(self, engine: Engine, hub: Hub, crowd: "Crowd[Socket]", pace: Pace, connection: Wire) -> None:
        self._engine, self._hub, self._crowd, self._pace = engine, hub, crowd, pace
        self._scope, self._receive, self._send = connection
        self.viewer: Actor | None = None
        self._abort = partial(wire.abort, self._scope)
        self._outbox = Outbox(self._send, self._abort, pace.stall, wire.extension(self._scope, WRITE))
        self._parting: asyncio.Task[None] | None = None
        self._initialising: asyncio.Task[None] | None = None
        self._is_acknowledged = False
        self._running: dict[str, asyncio.Task[None]] = {}
        self.streams: dict[str, Attached] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._resume: dict[str, str] = {}
        self._resumed: set[tuple[str, str]] = set()
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
        tasks = [*self._running.values(), *(task for task in (self._initialising, self._parting) if task)]
        for task in tasks:
            task.cancel()
        for attached in self.streams.values():
            self._hub.detach(*attached)
        self.streams.clear()
        self._close_inboxes()
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

    def end_session(self, why: Ending) -> None:
        """The session that this connection acts for is over: its streams say so, what runs is answered, and it closes
        with 4401. Begun once, and soon done."""
        if self.is_over:
            return
        self.is_over = True
        reason = StreamEndReason(why.value)
        self._last_words = [attached.reader.end(reason) for attached in self.streams.values()]
        self._close_inboxes()
        self.part(CloseCode.UNAUTHORIZED, "Session ended", finish_seconds=LAST_WORDS_SECONDS)

    def part(self, code: CloseCode, reason: str, *, finish_seconds: float = 0) -> None:
        """Begin to end the connection: nobody waits for a peer that takes its time. What runs may finish first."""
        if self._parting is None:
            self._parting = asyncio.create_task(self._part(code, reason, finish_seconds), name="parting")

    async def _part(self, code: CloseCode, reason: str, finish_seconds: float) -> None:
        running = [*self._running.values(), *self._last_words]
        if running and finish_seconds:
            await asyncio.wait(running, timeout=finish_seconds)
        await self.close(code, reason)

    def leave(self) -> None:
        """The server stops: answer what has been asked, take nothing new, and send the client elsewhere."""
        self.part(CloseCode.SERVICE_RESTART, "Service restart", finish_seconds=self._pace.finish)

    # ------------------------------------------------------------------ once a second

    def tick(self, *, heartbeat: bool) -> None:
        """What time brings: pings, their absence, the end of the access token, or of patience with a mute client."""
        if self._closed:
            return
        if self._initialising is None:
            if time.monotonic() - self._opened_at > self._pace.init:
                self.part(CloseCode.TIMEOUT, "Connection initialisation timeout")
        elif not self._is_acknowledged:  # the client has done its part: our own slowness is not its fault
            return
        elif self.viewer and (now() - self.viewer.token_expires_at).total_seconds() > self._pace.grace:
            self.part(CloseCode.FORBIDDEN, "Access token expired")
        elif heartbeat and self._unanswered >= MISSED_HEARTBEATS:
            self.part(CloseCode.TIMEOUT, "Heartbeat missed")
        elif heartbeat:
            self._unanswered += 1
            self._outbox.put(protocol.write("ping"))

    # ------------------------------------------------------------------ messages

    async def _handle(self, message: Message) -> None:
        if message.type == "connection_init":
            await self._begin_init(message.payload)
        elif message.type == "ping":
            self._outbox.put(protocol.write("pong", payload=message.payload or None))
        elif message.type == "subscribe":
            await self._subscribe(message)
        elif message.type == "complete":
            self._complete(message.id)

    async def _begin_init(self, payload: dict[str, Any]) -> None:
        if self._initialising is not None:
            await self.close(CloseCode.TOO_MANY_INITIALISATION_REQUESTS, "Too many initialisation requests")
            return
        self._initialising = asyncio.create_task(self._init(payload), name="connection_init")

    async def _init(self, payload: dict[str, Any]) -> None:
        await self._crowd.turns.take()
        token = tokens.from_init(payload) or tokens.from_headers(self._scope["headers"])
        try:
            self.viewer = await self._engine.backend.sessions.actor(token) if token else None
        except TokenExpired as error:
            return await self.close(CloseCode.FORBIDDEN, error.message)
        except Unauthenticated as error:
            return await self.close(CloseCode.UNAUTHORIZED, error.message)
        except Exception:
            log.exception("a connection could not be initialised")
            return await self.close(CloseCode.TRY_AGAIN_LATER, "Try again later")
        resume = payload.get("resume")
        if isinstance(resume, dict):
            self._resume = {key: value for key, value in resume.items() if isinstance(value, str)}
        if self.viewer is not None:
            if not self._crowd.has_place_for(self.viewer.user_id):
                return await self.close(CloseCode.TRY_AGAIN_LATER, "Too many connections")
            self._crowd.belongs(self, None, self.viewer)
        self._acknowledge()
        return None

    def _acknowledge(self) -> None:
        payload: dict[str, Any] = {
            "heartbeatMs": round(self._pace.heartbeat * 1000),
            "sessionId": None,
            "accessTokenExpiresAt": None,
        }
        if self.viewer is not None:
            payload["sessionId"] = global_id("session", self.viewer.session_id)
            payload["accessTokenExpiresAt"] = show_time(self.viewer.token_expires_at)
        self._outbox.put(protocol.write("connection_ack", payload=payload))
        self._is_acknowledged = True

    async def _subscribe(self, message: Message) -> None:
        if not self._is_acknowledged:
            return await self.close(CloseCode.UNAUTHORIZED, "Unauthorized")
        if self._parting is not None:  # the client asks again where it connects next
            return None
        if message.id in self._running or message.id in self.streams or message.id in self._inboxes:
            return await self.close(CloseCode.SUBSCRIBER_ALREADY_EXISTS, f"Subscriber for {message.id} already exists")
        if len(self._running) + len(self.streams) + len(self._inboxes) >= MAX_SUBSCRIPTIONS:
            limit = _limit(f"A connection carries at most {MAX_SUBSCRIPTIONS} operations at a time.")
            return self._error(message.id, RequestErrors(limit), str(uuid7()))
        task = asyncio.create_task(self._operate(message), name=f"operation {message.id}")
        self._running[message.id] = task  # taken before the first wait: a second one with this id is a duplicate
        return None

    def _complete(self, id_: str) -> None:
        if task := self._running.pop(id_, None):
            task.cancel()
        if attached := self.streams.pop(id_, None):
            self._hub.detach(*attached)
        if inbox := self._inboxes.pop(id_, None):
            inbox.stop()

    # ------------------------------------------------------------------ operations

    async def _operate(self, message: Message) -> None:
        caller = self._caller()
        request = read_request(message.payload)
        try:
            operation = await self._engine.read(request, caller)
            if operation.kind is OperationType.SUBSCRIPTION:
                async with asyncio.timeout(self._pace.patience):
                    await self._open(message.id, operation, request, caller)
            else:
                present = await self._present()
                await self._crowd.turns.take()
                answer = await self._engine.run(operation, request, present, caller)
                self._say("next", message.id, orjson.dumps(answer))
                self._say("complete", message.id)
        except RequestErrors as errors:
            self._error(message.id, errors, caller.request_id)
        except TimeoutError:  # an error message would end the subscription for good; this brings the client back
            await self.close(CloseCode.TRY_AGAIN_LATER, "Try again later")
        except Exception as error:  # ours: this operation fails, the socket lives on
            self._error(
                message.id, RequestErrors(coded("INTERNAL", "Something went wrong on our side.")), caller.request_id
            )
            log.error("operation failed, request %s", caller.request_id, exc_info=error)
        finally:
            self._running.pop(message.id, None)

    async def _open(self, id_: str, operation: Operation, request: Request, caller: Caller) -> None:
        present = await until_it_works(self._present, worth=is_outage)
        await self._crowd.turns.take()
        context = Context(self._engine.backend, present, caller)
        stream: Stream | InboxStream = await until_it_works(
            lambda: self._engine.subscribe(operation, request, context), worth=is_outage
        )
        viewer = context.actor
        if isinstance(stream, InboxStream):
            self._open_inbox(id_, operation, request, stream, viewer)
        else:
            await self._open_stream(id_, operation, request, stream, viewer)

    async def _open_stream(
        self, id_: str, operation: Operation, request: Request, stream: Stream, viewer: Actor
    ) -> None:
        script = partial(RoomScript, self._engine, operation, request, stream)
        async with self._hub.topic(topic_of(stream.place.room_id)) as topic:
            if topic is None:
                raise RequestErrors(coded("NOT_FOUND", "no such room"))
            if self.is_over:
                raise RequestErrors(_session_over())
            if not self._crowd.may_stream(viewer.user_id):
                raise RequestErrors(_limit("You have as many subscriptions open as one person may have."))
            listener = Listener(
                self._outbox,
                Person(viewer.user_id, viewer),
                protocol.head("next", id_) + b',"payload":',
                b"}",
                partial(self._over, id_),
                partial(self._failed, id_),
            )
            key = group_key(operation, request, stream)
            reader = self._hub.attach(topic, key, script, listener, stream.place.after)
            self.streams[id_] = Attached(topic, reader)
            await topic.recheck_rights(reader, stream.place.tail)
        if reader.is_open:
            self._start(reader, stream)

    def _start(self, reader: Reader, stream: Stream) -> None:
        if stream.state_of is not None:
            reader.start_whole()
        elif stream.place.expired:
            reader.start_anew()
        elif stream.place.after is None:
            reader.start_live()
        elif stream.place.epoch != self._engine.backend.epoch:  # it was read from a log that has lost events since
            reader.start_anew()
        else:
            reader.start_after(stream.place.after)

    def _open_inbox(self, id_: str, operation: Operation, request: Request, stream: InboxStream, viewer: Actor) -> None:
        if self.is_over:
            raise RequestErrors(_session_over())
        head = protocol.head("next", id_) + b',"payload":'

        def send(payload: bytes) -> bool:
            return self._outbox.offer(head, payload, b"}")

        inbox = Inbox(self._engine, operation, request, stream, viewer, send)
        self._inboxes[id_] = inbox
        inbox.start(self._outbox, partial(self._failed, id_, Failure.INTERNAL))

    def _close_inboxes(self) -> list[str]:
        """The ids of those that were open."""
        open_, self._inboxes = self._inboxes, {}
        for inbox in open_.values():
            inbox.stop()
        return list(open_)

    def _over(self, id_: str) -> None:
        """The server ended a stream."""
        if attached := self.streams.pop(id_, None):
            self._hub.release(attached.topic)
            self._say("complete", id_)

    def _failed(self, id_: str, failure: Failure) -> None:
        """A stream or an inbox cannot go on: its client is told so by an error, and may subscribe again."""
        attached, inbox = self.streams.pop(id_, None), self._inboxes.pop(id_, None)
        if attached:
            self._hub.release(attached.topic)
        if inbox:
            inbox.stop()
        self._hub.failed += failure is Failure.INTERNAL
        self._error(id_, RequestErrors(coded(failure, FAILURES[failure])), str(uuid7()))

    def _say(self, kind: str, id_: str, payload: bytes | None = None) -> None:
        body = b',"payload":' + payload if payload is not None else b""
        self._outbox.put(protocol.head(kind, id_) + body + b"}")

    def _error(self, id_: str, errors: RequestErrors, request_id: str) -> None:
        self._say("error", id_, orjson.dumps(refused(errors, request_id)["errors"]))

    # ------------------------------------------------------------------ its person

    async def _present(self) -> Actor | None:
        """Whom an operation acts for, with the rights they have now. Raises RequestErrors once their session ended."""
        if (viewer := self.viewer) is None:
            return None
        standing = await self._engine.backend.sessions.standing(viewer.session_id)
        if standing.ending is not None:
            self.end_session(standing.ending)
            raise RequestErrors(_session_over())
        return replace(viewer, is_admin=standing.is_admin)

    def _caller(self) -> Caller:
        return Caller(str(uuid7()), self.address, self.adopt, self._resumption, wire.origin(self._scope))

    @property
    def address(self) -> str | None:
        client = self._scope.get("client")
        return client[0] if client else None

    def adopt(self, actor: Actor) -> None:
        """A sign-in or renewal over this socket: it belongs to that session from here on."""
        if self.viewer is not None and self.viewer.user_id != actor.user_id:
            for id_ in list(self.streams):  # another person's streams do not outlive their sign-in here
                self._hub.detach(*self.streams.pop(id_))
                self._say("complete", id_)
            for id_ in self._close_inboxes():
                self._say("complete", id_)
        self._crowd.belongs(self, self.viewer, actor)
        self.viewer = actor

    def _resumption(self, room_id: str, field: str) -> str | None:
        """The cursor that the client connected with, once per room and field."""
        if (room_id, field) in self._resumed:
            return None
        self._resumed.add((room_id, field))
        return self._resume.get(f"{room_id}:{field}", self._resume.get(room_id))
