"""Executes the document of an inbox subscription on each update of the inbox."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import orjson

from roomcast.api.context import Context
from roomcast.api.errors import root_cause
from roomcast.api.execution.documents import Operation
from roomcast.api.execution.engine import Engine, execute, raise_outage, result_payload
from roomcast.api.execution.requests import Request
from roomcast.api.execution.streams import OpenResult, StreamOpening
from roomcast.api.execution.viewer_fields import LIVE_CALLER
from roomcast.core.actor import Actor
from roomcast.core.errors import NotFound
from roomcast.live.inbox import Inbox, InboxServices, InboxUpdate
from roomcast.realtime.ports import Failure


@dataclass(frozen=True, slots=True)
class InboxStream:
    """What the subscription's resolver returns: the viewer may open an inbox.

    `address`: the server's base URL as the client reached it. `to_graphql`: makes the GraphQL object of an update.
    `load_rooms`: loads the rooms that an update shows, and returns what is left of the update.
    """

    address: str
    to_graphql: Callable[[InboxUpdate], Any]
    load_rooms: Callable[[InboxUpdate, Context], Awaitable[InboxUpdate]]

    async def open(self, opening: StreamOpening) -> OpenResult:
        def send(payload: bytes) -> bool:
            return opening.outbox.offer(opening.head, payload, opening.tail)

        inbox = opening.attach(
            lambda: create_inbox(opening.engine, opening.operation, opening.request, self, opening.viewer, send)
        )
        inbox.start(opening.outbox, partial(opening.on_failure, Failure.INTERNAL))
        return OpenResult.LIVE

    def __aiter__(self) -> NoReturn:
        raise TypeError("an inbox is delivered by the WebSocket connection and cannot be iterated")


class InboxRenderer:
    """One document and its variables, executed for one viewer."""

    def __init__(
        self, engine: Engine, operation: Operation, request: Request, stream: InboxStream, viewer: Actor
    ) -> None:
        """Raises RequestErrors for variables that do not fit."""
        self._backend, self._viewer, self._stream = engine.backend, viewer, stream
        self._shows_rooms = "RoomUnread.room" in operation.viewer_fields
        self._caller = replace(LIVE_CALLER, origin=stream.address)
        self._executor = engine.executor(operation, request.variables, self._context())

    async def render(self, update: InboxUpdate) -> bytes | None:
        """The encoded payload. None if a room or thread in the update is gone or may not be read any more.

        Raises the error of a database that does not answer.
        """
        context = self._context()
        try:
            if self._shows_rooms:
                update = await self._stream.load_rooms(update, context)
            executor = self._executor.build_per_event_executor(self._stream.to_graphql(update))
            # All copies of an executor share this cache. It would keep parts of every event.
            executor._relevant_sub_fields = {}
            executor.context_value = context
            result = await execute(executor)
        finally:
            await context.close()
        raise_outage(result.errors)
        if result.data is None and any(isinstance(root_cause(error), NotFound) for error in result.errors or ()):
            return None
        return orjson.dumps(result_payload(result, LIVE_CALLER.request_id))

    def _context(self) -> Context:
        return Context(self._backend, self._viewer, self._caller)


def create_inbox(
    engine: Engine,
    operation: Operation,
    request: Request,
    stream: InboxStream,
    viewer: Actor,
    send: Callable[[bytes], bool],
) -> Inbox:
    """The inbox of this subscription, not started. Raises RequestErrors for variables that do not fit."""
    backend = engine.backend
    renderer = InboxRenderer(engine, operation, request, stream, viewer)
    services = InboxServices(backend.db, backend.watchers, backend.inbox_reconciler)
    return Inbox(services, viewer.user_id, renderer.render, send)
