"""Streams of a room: who may have one, from where it starts, and what its events look like. `realtime` does the rest.

A subscription's field does not produce events. It checks this viewer and answers with a `Stream`, which says what is
wanted; the events are executed once for everybody who wants the same.
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, cast
from uuid import UUID

import orjson
import strawberry

from roomcast.api.context import SHARED, Context, Info, SharedContext
from roomcast.api.execution.documents import Operation
from roomcast.api.execution.engine import Engine
from roomcast.api.execution.requests import Request
from roomcast.api.execution.streams import OpenResult, StreamOpening, open_topic_stream
from roomcast.api.execution.viewer_fields import LIVE, AudienceMember, EventRenderPass, ViewerFieldExecutor
from roomcast.api.schema.scalars import Cursor
from roomcast.api.schema.streams.events import (
    ROOM_EVENT_TYPES,
    Ended,
    MessageDelivery,
    Ready,
    RenderedEvent,
    RoomEvent,
    StreamEndReason,
)
from roomcast.core import event_log
from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.core.errors import BadUserInput, ResumeExpired
from roomcast.core.events import Event, EventCodec
from roomcast.core.ids import global_id, local_id
from roomcast.messages.events import MessageCreated
from roomcast.realtime.ports import FeedEntry
from roomcast.realtime.reader import Reader
from roomcast.realtime.snapshot_feed import SnapshotFeed
from roomcast.rooms import queries as rooms


@dataclass(frozen=True, slots=True)
class StreamStart:
    """Where a viewer's stream begins.

    `tail`: the end of the log when the viewer was seen to have the right to it. `after`: the position to replay from.
    `expired`: a cursor was given and cannot be honoured. `epoch`: in which all of this was found.
    """

    room_id: UUID
    tail: int
    after: int | None
    expired: bool
    epoch: UUID | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """What a subscriber is to be shown: `kinds` of events. `speaks`: the stream also says when it is live
    and why it ends. `address`: that of the server, which addresses of files begin with. `state_of`: the room's state
    that is shown, if it is not its log."""

    place: StreamStart
    kinds: frozenset[type[Any]]
    speaks: bool
    address: str = ""
    state_of: Callable[[UUID], SnapshotFeed] | None = None

    async def open(self, opening: StreamOpening) -> OpenResult:
        return await open_topic_stream(self, opening)

    @property
    def topic(self) -> str:
        return room_topic(self.place.room_id)

    @property
    def after(self) -> int | None:
        return self.place.after

    @property
    def tail(self) -> int:
        return self.place.tail

    @property
    def announced_room_id(self) -> UUID | None:
        return None if self.speaks or self.state_of is not None else self.place.room_id

    def group_key(self, operation: Operation, request: Request) -> Hashable:
        return group_key(operation, request, self)

    def renderer(self, engine: Engine, operation: Operation, request: Request) -> "RoomEventRenderer":
        return RoomEventRenderer(engine, operation, request, self)

    def start(self, reader: Reader, epoch: UUID) -> None:
        """Start the reader where the stream begins. `epoch` is the store's present one."""
        if self.state_of is not None:
            reader.start_whole()
        elif self.place.expired:
            reader.start_anew()
        elif self.place.after is None:
            reader.start_live()
        elif self.place.epoch != epoch:  # the log has lost events since the cursor was read
            reader.start_anew()
        else:
            reader.start_after(self.place.after)

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
        return Stream(place, frozenset([MessageCreated]), speaks=False, address=info.context.address)

    @strawberry.subscription(
        graphql_type=RoomEvent,
        metadata=SHARED,
        description="Everything durable that happens in a room, as one ordered log with one cursor.",
    )
    async def room_events(self, info: Info, room_id: strawberry.ID, after: Cursor | None = None) -> Stream:
        place = await _start(info.context, "roomEvents", room_id, after)
        return Stream(place, ROOM_EVENT_TYPES, speaks=True, address=info.context.address)


async def _start(context: Context, field: str, room_id: str, after: str | None) -> StreamStart:
    """Raises Unauthenticated, NotFound, BadUserInput."""
    async with context.snapshot.session() as session:
        view = await rooms.readable_room(session, context.actor, local_id("room", room_id))
    resumed = context.caller.resume(global_id("room", view.room.id), field) if context.caller.resume else None
    cursors = [_cursor(text, view.room.id) for text in (after, resumed) if text is not None]
    epoch, tail = context.backend.epoch, view.head.last_seq
    good = [cursor.seq for cursor in cursors if cursor.is_of(epoch) and cursor.seq <= tail]
    return StreamStart(view.room.id, tail, max(good, default=None), bool(cursors) and not good, epoch)


def _cursor(text: str, room_id: UUID) -> event_log.Cursor:
    cursor = event_log.read_cursor(text)
    if cursor.room_id != room_id:
        raise BadUserInput("this cursor belongs to another room")
    return cursor


# ------------------------------------------------------------------ one group's script


class RoomEventRenderer:
    """What a subscription's document shows of a room's events."""

    def __init__(self, engine: Engine, operation: Operation, request: Request, stream: Stream) -> None:
        self.is_personal = not operation.is_shared
        self.state = stream.state_of(stream.place.room_id) if stream.state_of else None
        self._backend, self._stream = engine.backend, stream
        self._kinds = stream.kinds | ({Ready, Ended} if stream.speaks else set())
        self._caller = replace(LIVE, origin=stream.address)
        nobody = SharedContext(engine.backend, self._caller)
        self._executor = cast(
            "ViewerFieldExecutor", engine.executor(operation, request.variables, nobody, ViewerFieldExecutor)
        )

    def render(self, entries: Sequence[FeedEntry], *, replayed: bool) -> EventRenderPass:
        roots = [
            RenderedEvent(entry.event, replayed) if type(entry.event) in self._kinds else None for entry in entries
        ]
        return EventRenderPass(self._backend, self._caller, self._executor, roots, is_personal=self.is_personal)

    def signal(self, signal: Event, seq: int) -> FeedEntry:
        return FeedEntry(seq, replace(signal, seq=seq))

    def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> FeedEntry | None:
        return self._words(Ready(self._stream.place.room_id, seq, now(), recovered, replayed_count))

    def ended(self, seq: int, reason: Any) -> FeedEntry | None:
        return self._words(Ended(self._stream.place.room_id, seq, now(), reason))

    def _words(self, words: Ready | Ended) -> FeedEntry | None:
        return FeedEntry(words.seq, words) if self._stream.speaks else None


def group_key(operation: Operation, request: Request, stream: Stream) -> Hashable:
    """Who asks for the same: the same document and variables, at the same address of the server."""
    variables = {name: value for name, value in request.variables.items() if name in _used(operation)}
    return operation.identity, operation.name, orjson.dumps(variables, option=orjson.OPT_SORT_KEYS), stream.address


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


def room_topic(room_id: UUID) -> str:
    return f"room:{room_id}"


def is_room_topic(topic: str) -> bool:
    return topic.startswith("room:")


def _room_of(topic: str) -> UUID:
    return UUID(topic.removeprefix("room:"))


MANY_ROOMS = 5_000
"""Rooms of one statement: a database takes some 32,000 parameters."""


class RoomEventSource:
    """`realtime.Source` over the product's log and its rights."""

    def __init__(self, db: Database, lines: EventCodec) -> None:
        self._db, self._lines = db, lines

    async def after(self, topic: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        async with self._db.read() as session:
            return [_entry(event) for event in await event_log.after(session, _room_of(topic), seq, limit)]

    async def tails(self, topics: Collection[str]) -> Mapping[str, int]:
        room_ids = [_room_of(topic) for topic in topics]
        tails: dict[str, int] = {}
        for start in range(0, len(room_ids), MANY_ROOMS):
            async with self._db.read() as session:
                found = await event_log.tails(session, room_ids[start : start + MANY_ROOMS])
            tails.update((room_topic(room_id), seq) for room_id, seq in found.items())
        return tails

    async def lost(self, topic: str, audience: Collection[Hashable]) -> Mapping[Hashable, Any]:
        people = {person.user_id: person for person in audience if isinstance(person, AudienceMember)}
        async with self._db.read() as session:
            exists = await rooms.rooms_by_id(session, [_room_of(topic)])
            readers = await rooms.readers_among(session, _room_of(topic), people.keys())
        reason = StreamEndReason.REMOVED_FROM_ROOM if exists else StreamEndReason.ROOM_DELETED
        return {person: reason for user_id, person in people.items() if user_id not in readers}

    def decode(self, seq: int, body: str) -> FeedEntry:
        event = self._lines.unpack(body)
        if event.seq != seq:
            raise ValueError("a frame whose event is another one")
        return _entry(event, len(body))


def _entry(event: Event, size: int = 0) -> FeedEntry:
    """`size`: that of what it carries; what the log stores holds no bodies."""
    rights, rewrites, mark = event.changes_access, event.rewrites_past, (event.kind, event.at)
    return FeedEntry(event.seq, event, rights=rights, rewrites=rewrites, mark=mark, size=size)
