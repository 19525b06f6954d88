"""Streams of a room: who may have one, from where it starts, and what its events look like. `realtime` does the rest.

A subscription's field does not produce events. It checks this viewer and answers with a `Stream`, which says what is
wanted; the events are executed once for everybody who wants the same.
"""

import asyncio
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from uuid import UUID

import orjson
import strawberry
from graphql import ExecutionResult

from roomcast.api.context import SHARED, Caller, Context, Info, SharedContext
from roomcast.api.documents import Operation
from roomcast.api.events import TOLD_EVENTS, Ended, MessageDelivery, Ready, RoomEvent, StreamEndReason, Told
from roomcast.api.execution import Engine, completed, raise_outage, shown
from roomcast.api.requests import Request
from roomcast.api.scalars import Cursor
from roomcast.core import log
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Database, is_outage
from roomcast.core.errors import BadUserInput, ResumeExpired
from roomcast.core.events import Event, Lines
from roomcast.core.ids import global_id, local_id
from roomcast.messages.events import MessageCreated
from roomcast.realtime.retry import until_it_works
from roomcast.realtime.source import Entry
from roomcast.rooms import queries as rooms

LIVE = Caller(request_id="live")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a viewer's stream begins.

    `tail`: the end of the log when the viewer was seen to have the right to it. `after`: the position to replay from.
    `expired`: a cursor was given and cannot be honoured.
    """

    room_id: UUID
    tail: int
    after: int | None
    expired: bool


@dataclass(frozen=True, slots=True)
class Stream:
    """What a subscriber is to be shown: `kinds` of events. `speaks`: the stream also says when it is live
    and why it ends."""

    place: Place
    kinds: frozenset[type[Event]]
    speaks: bool

    def __aiter__(self) -> NoReturn:
        raise TypeError("a stream is run for a whole group by roomcast's socket, not iterated one by one")


@strawberry.type
class Subscription:
    @strawberry.subscription(
        graphql_type=MessageDelivery,
        metadata=SHARED,
        description="Every message of a room, in order. With `after` it first replays what was missed, then goes live: "
        "nothing lost, nothing twice.",
    )
    async def room_messages(self, info: Info, room_id: strawberry.ID, after: Cursor | None = None) -> Stream:
        place = await _start(info.context, "roomMessages", room_id, after)
        if place.expired:
            raise ResumeExpired("the log does not reach back to this cursor; fetch the history and subscribe anew")
        return Stream(place, frozenset([MessageCreated]), speaks=False)

    @strawberry.subscription(
        graphql_type=RoomEvent,
        metadata=SHARED,
        description="Everything durable that happens in a room, as one ordered log with one cursor.",
    )
    async def room_events(self, info: Info, room_id: strawberry.ID, after: Cursor | None = None) -> Stream:
        place = await _start(info.context, "roomEvents", room_id, after)
        return Stream(place, TOLD_EVENTS, speaks=True)


async def _start(context: Context, field: str, room_id: str, after: str | None) -> Place:
    """Raises Unauthenticated, NotFound, BadUserInput."""
    async with context.snapshot.session() as session:
        view = await rooms.reach(session, context.actor, local_id("room", room_id))
    resumed = context.caller.resume(global_id("room", view.room.id), field) if context.caller.resume else None
    cursors = [_cursor(text, view.room.id) for text in (after, resumed) if text is not None]
    epoch, tail = context.backend.epoch, view.head.last_seq
    good = [cursor.seq for cursor in cursors if cursor.is_of(epoch) and cursor.seq <= tail]
    return Place(view.room.id, tail, max(good, default=None), bool(cursors) and not good)


def _cursor(text: str, room_id: UUID) -> log.Cursor:
    cursor = log.read_cursor(text)
    if cursor.room_id != room_id:
        raise BadUserInput("this cursor belongs to another room")
    return cursor


# ------------------------------------------------------------------ one group's script


class RoomScript:
    """Executes a subscription's document for a group: without a viewer for shared ones, else for the one it is for."""

    def __init__(self, engine: Engine, operation: Operation, request: Request, stream: Stream, viewer: Actor) -> None:
        self._backend, self._stream = engine.backend, stream
        self._viewer = None if operation.is_shared else viewer
        self._executor = engine.executor(operation, request.variables, self._context())

    async def show(self, entries: Sequence[Entry], *, replayed: bool) -> Sequence[bytes | None]:
        wanted = [Told(entry.event, replayed) if self._shows(entry.event) else None for entry in entries]
        return await self._execute(wanted)

    async def signal(self, signal: Event, seq: int) -> bytes | None:
        if not self._shows(signal):
            return None
        return (await self._execute([Told(replace(signal, seq=seq), replayed=False)]))[0]

    async def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> bytes | None:
        return await self._say(Ready(self._stream.place.room_id, seq, now(), recovered, replayed_count))

    async def ended(self, seq: int, reason: Any) -> bytes | None:
        return await self._say(Ended(self._stream.place.room_id, seq, now(), reason))

    async def _say(self, words: Ready | Ended) -> bytes | None:
        if not self._stream.speaks:
            return None
        return (await self._execute([Told(words, replayed=False)]))[0]

    def _shows(self, event: Event) -> bool:
        return type(event) in self._stream.kinds

    async def _execute(self, roots: Sequence[Told | None]) -> list[bytes | None]:
        """An outage is waited for: an event that is shown as an error is an event that is lost."""
        results = await until_it_works(lambda: self._results(roots), worth=is_outage)
        return [None if result is None else orjson.dumps(shown(result, LIVE.request_id)) for result in results]

    async def _results(self, roots: Sequence[Told | None]) -> list[ExecutionResult | None]:
        """All under one context, so that its loaders ask for everything at once. Raises what `is_outage`."""
        context = self._context()
        try:
            results = await asyncio.gather(*(self._one(root, context) for root in roots))
        finally:
            await context.close()
        for result in results:
            raise_outage(result.errors if result else None)
        return results

    async def _one(self, root: Told | None, context: Context) -> ExecutionResult | None:
        if root is None:
            return None
        executor = self._executor.build_per_event_executor(root)
        executor._relevant_sub_fields = {}  # the copy shares this cache, which would keep some of every event for ever
        executor.context_value = context
        return await completed(executor)

    def _context(self) -> Context:
        if self._viewer is None:
            return SharedContext(self._backend, LIVE)
        return Context(self._backend, self._viewer, LIVE)


def group_key(operation: Operation, request: Request, stream: Stream, viewer: Actor) -> Hashable:
    """Who gets the same bytes: the same document and variables, and the same person where it depends on the person."""
    variables = {name: value for name, value in request.variables.items() if name in _used(operation)}
    audience = None if operation.is_shared else viewer.user_id
    return operation.identity, operation.name, orjson.dumps(variables, option=orjson.OPT_SORT_KEYS), audience


def _used(operation: Operation) -> set[str]:
    """The variables that shape what is shown: the cursor does not."""
    cursors = {
        argument.value.name.value
        for field in operation.definition.selection_set.selections  # one field, which may be written several times
        for argument in getattr(field, "arguments", ())
        if argument.name.value == "after" and hasattr(argument.value, "name")
    }
    declared = {definition.variable.name.value for definition in operation.definition.variable_definitions or ()}
    return declared - cursors


# ------------------------------------------------------------------ the log, as live delivery sees it


def topic_of(room_id: UUID) -> str:
    return f"room:{room_id}"


def _room_of(topic: str) -> UUID:
    return UUID(topic.removeprefix("room:"))


class RoomLog:
    """`realtime.Source` over the product's log and its rights."""

    def __init__(self, db: Database, lines: Lines) -> None:
        self._db, self._lines = db, lines

    async def after(self, topic: str, seq: int, limit: int) -> Sequence[Entry]:
        async with self._db.read() as session:
            return [_entry(event) for event in await log.after(session, _room_of(topic), seq, limit)]

    async def tails(self, topics: Collection[str]) -> Mapping[str, int]:
        async with self._db.read() as session:
            tails = await log.tails(session, [_room_of(topic) for topic in topics])
        return {topic_of(room_id): seq for room_id, seq in tails.items()}

    async def lost(self, topic: str, audience: Collection[Hashable]) -> Mapping[Hashable, Any]:
        people = [person for person in audience if isinstance(person, UUID)]
        async with self._db.read() as session:
            exists = await rooms.rooms_by_id(session, [_room_of(topic)])
            readers = await rooms.readers_among(session, _room_of(topic), people)
        reason = StreamEndReason.REMOVED_FROM_ROOM if exists else StreamEndReason.ROOM_DELETED
        return {person: reason for person in people if person not in readers}

    def decode(self, seq: int, body: str) -> Entry:
        event = self._lines.unpack(body)
        if event.seq != seq:
            raise ValueError("a frame whose event is another one")
        return _entry(event)


def _entry(event: Event) -> Entry:
    return Entry(event.seq, event, rights=event.changes_access, rewrites=event.rewrites_past)
