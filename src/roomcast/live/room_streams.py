"""Streams of one room: where a stream starts, which events it shows, and the event log as `realtime` reads it."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from roomcast.core import event_log
from roomcast.core.actor import Actor
from roomcast.core.db import CoalescingLoader, Database
from roomcast.core.errors import NotFound
from roomcast.core.events import Event, EventCodec, trace_of_packed
from roomcast.live.topics import room_id_of, room_topic
from roomcast.realtime.ports import FeedEntry
from roomcast.realtime.reader import Reader
from roomcast.realtime.snapshot_feed import SnapshotFeed
from roomcast.rooms import queries as rooms

MAX_ROOMS_PER_STATEMENT = 5_000
"""A database takes about 32,000 parameters in one statement."""


class StreamEndReason(StrEnum):
    """Why the server ended a stream."""

    REMOVED_FROM_ROOM = "REMOVED_FROM_ROOM"
    ROOM_DELETED = "ROOM_DELETED"
    BANNED = "BANNED"
    SESSION_REVOKED = "SESSION_REVOKED"


@dataclass(frozen=True, slots=True)
class Ready:
    """Control event: the stream is live from `seq` on. Sent when a stream starts and when its replay ends."""

    room_id: UUID
    seq: int
    at: datetime
    recovered: bool
    replayed_count: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Control event: the server ends the stream."""

    room_id: UUID
    seq: int
    at: datetime
    reason: StreamEndReason


@dataclass(frozen=True, slots=True)
class RenderedEvent:
    """The root value of one execution: an event, and whether it is replayed."""

    event: Any
    replayed: bool


@dataclass(frozen=True, slots=True)
class AudienceMember:
    """A user who receives a group's events. Two sessions of the same user are equal."""

    user_id: UUID
    actor: Actor = field(compare=False)


@dataclass(frozen=True, slots=True)
class StreamStart:
    """Where a viewer's stream starts.

    `tail`: the last seq of the log at the moment when the viewer's right to read the room was checked. `after`: the seq
    to replay from, None for a stream that starts live. `expired`: the client sent a cursor that the log cannot honour.
    `epoch`: the log's epoch before that moment.
    """

    room_id: UUID
    tail: int
    after: int | None
    expired: bool
    epoch: UUID


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream to open for a viewer whose right to it has been checked.

    `kinds`: the event classes to show. `has_control_events`: the stream also sends Ready and Ended. `address`: the
    server's base URL as the client reached it, used in links to files. `feed_in`: returns the feed of the room's
    presence or typing, for a stream that does not show the event log.
    """

    start_at: StreamStart
    kinds: frozenset[type[Any]]
    has_control_events: bool
    address: str = ""
    feed_in: Callable[[UUID], SnapshotFeed] | None = None

    @property
    def needs_announcements(self) -> bool:
        """Whether the client can learn the position of this stream from pings only, before its first event."""
        return not self.has_control_events and self.feed_in is None

    def start(self, reader: Reader, epoch: UUID) -> None:
        """Start the reader where the stream starts. `epoch` is the current one."""
        if self.feed_in is not None:
            reader.start_with_snapshot()
        elif self.start_at.expired:
            reader.start_unrecovered()
        elif self.start_at.after is None:
            reader.start_live()
        elif self.start_at.epoch != epoch:  # the log has lost events since the cursor was read
            reader.start_unrecovered()
        else:
            reader.start_after(self.start_at.after)


class StreamAccess:
    """The right to open streams of rooms. Sockets that return at the same time are checked in one statement."""

    def __init__(self, db: Database) -> None:
        self._tails = CoalescingLoader(db, rooms.readable_tails)

    async def close(self) -> None:
        """Wait for the running queries."""
        await self._tails.close()

    async def check(self, actor: Actor, room_id: UUID | None) -> tuple[UUID, int]:
        """The id of a room that the actor can read, and the last seq of its log at the moment of the check, which
        comes after the call. Raises NotFound, exactly as for an unknown id."""
        tail = await self._tails((actor.user_id, room_id)) if room_id is not None else None
        if room_id is None or tail is None:
            raise NotFound("There is no such room.")
        return room_id, tail


class RoomEventSource:
    """The event log and the right to read it, as `realtime.ports.Source`."""

    def __init__(self, db: Database, codec: EventCodec) -> None:
        self._db, self._codec = db, codec

    async def after(self, topic: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        async with self._db.read() as session:
            return [
                _feed_entry(event) for event in await event_log.events_after(session, room_id_of(topic), seq, limit)
            ]

    async def tails(self, topics: Collection[str]) -> Mapping[str, int]:
        room_ids = [room_id_of(topic) for topic in topics]
        tails: dict[str, int] = {}
        for start in range(0, len(room_ids), MAX_ROOMS_PER_STATEMENT):
            async with self._db.read() as session:
                found = await event_log.tails(session, room_ids[start : start + MAX_ROOMS_PER_STATEMENT])
            tails.update((room_topic(room_id), seq) for room_id, seq in found.items())
        return tails

    async def lost(self, topic: str, audience: Collection[Hashable]) -> Mapping[Hashable, Any]:
        members = {member.user_id: member for member in audience if isinstance(member, AudienceMember)}
        async with self._db.read() as session:
            exists = await rooms.rooms_by_id(session, [room_id_of(topic)])
            readers = await rooms.users_who_can_read(session, room_id_of(topic), members.keys())
        reason = StreamEndReason.REMOVED_FROM_ROOM if exists else StreamEndReason.ROOM_DELETED
        return {member: reason for user_id, member in members.items() if user_id not in readers}

    def decode(self, seq: int, body: str) -> FeedEntry:
        event = self._codec.unpack(body)
        if event.seq != seq:
            raise ValueError("the frame's seq is not that of its event")
        return _feed_entry(event, len(body), trace_of_packed(body))


def _feed_entry(event: Event, size: int = 0, trace: str | None = None) -> FeedEntry:
    """`size`: bytes of the event's transient payload. An event read from the log has none."""
    return FeedEntry(
        event.seq,
        event,
        rights=event.changes_access,
        rewrites=event.rewrites_past,
        mark=(event.kind, event.at),
        size=size,
        at=event.at.timestamp(),
        trace=trace,
    )
