"""What the streams of a room show: its durable events as GraphQL types, and the words that begin and end a stream."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Info
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.messages.types import Message
from roomcast.api.schema.rooms.types import Room
from roomcast.api.schema.scalars import Cursor, Seq
from roomcast.core.events import Event
from roomcast.core.ids import global_id
from roomcast.messages import events as message_events
from roomcast.messages import models as message_rows
from roomcast.receipts import events as receipt_events
from roomcast.rooms import events as room_events
from roomcast.rooms import models as room_rows

strawberry.enum(room_events.MemberChange)
strawberry.enum(message_events.MessageUpdateReason)


@strawberry.enum
class StreamEndReason(StrEnum):
    REMOVED_FROM_ROOM = "REMOVED_FROM_ROOM"
    ROOM_DELETED = "ROOM_DELETED"
    BANNED = "BANNED"
    SESSION_REVOKED = "SESSION_REVOKED"


@dataclass(frozen=True, slots=True)
class Ready:
    """A stream's place when it began, or when its replay had ended."""

    room_id: UUID
    seq: int
    at: datetime
    recovered: bool
    replayed_count: int


@dataclass(frozen=True, slots=True)
class Ended:
    room_id: UUID
    seq: int
    at: datetime
    reason: StreamEndReason


@dataclass(frozen=True, slots=True)
class RenderedEvent:
    """The root of one execution: an event and how it came to be shown."""

    event: Any
    replayed: bool


@strawberry.interface
class RoomEvent:
    shows: ClassVar[type[Any]]

    @strawberry.field(metadata=SHARED)
    def cursor(self, told: strawberry.Parent[RenderedEvent], info: Info) -> Cursor:
        return Cursor(info.context.cursor(told.event.room_id, told.event.seq))

    @strawberry.field(metadata=SHARED)
    def at(self, told: strawberry.Parent[RenderedEvent]) -> datetime:
        moment: datetime = told.event.at
        return moment

    replayed: bool

    @classmethod
    def is_type_of(cls, told: RenderedEvent, _info: object) -> bool:
        return isinstance(told.event, cls.shows)


async def _message(told: RenderedEvent, info: Info) -> message_rows.Message | None:
    created = _fresh(told.event)
    if created is None:
        return await info.context.messages.load(told.event.message_id)
    if created.author is not None:
        info.context.users.prime(created.author.id, created.author)
    return created.fresh


def _fresh(event: Event) -> message_events.MessageCreated | None:
    """The event if it carries what it tells of."""
    return event if isinstance(event, message_events.MessageCreated) and event.fresh is not None else None


@strawberry.type
class MessageDelivery:
    replayed: bool

    @strawberry.field(metadata=SHARED)
    def cursor(self, told: strawberry.Parent[RenderedEvent], info: Info) -> Cursor:
        return Cursor(info.context.cursor(told.event.room_id, told.event.seq))

    @strawberry.field(graphql_type=Message, metadata=SHARED)
    async def message(self, told: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(told, info)


@strawberry.type
class MessageCreated(RoomEvent):
    shows: ClassVar = message_events.MessageCreated

    @strawberry.field(graphql_type=Message, metadata=SHARED)
    async def message(self, told: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(told, info)


@strawberry.type
class MessageUpdated(RoomEvent):
    shows: ClassVar = message_events.MessageUpdated

    @strawberry.field(graphql_type=Message, metadata=SHARED)
    async def message(self, told: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(told, info)

    @strawberry.field(metadata=SHARED)
    def reason(self, told: strawberry.Parent[RenderedEvent]) -> message_events.MessageUpdateReason:
        return message_events.MessageUpdateReason(told.event.reason)


@strawberry.type
class MessageDeleted(RoomEvent):
    shows: ClassVar = message_events.MessageDeleted

    @strawberry.field(metadata=SHARED)
    def message_id(self, told: strawberry.Parent[RenderedEvent]) -> strawberry.ID:
        return strawberry.ID(global_id("msg", told.event.message_id))

    @strawberry.field(metadata=SHARED)
    def message_seq(self, told: strawberry.Parent[RenderedEvent]) -> Seq:
        return Seq(told.event.message_seq)

    @strawberry.field(graphql_type=User | None, metadata=SHARED)
    async def deleted_by(self, told: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(told.event.deleted_by_id)


@strawberry.type
class ReactionChanged(RoomEvent):
    shows: ClassVar = message_events.ReactionChanged

    @strawberry.field(metadata=SHARED)
    def message_id(self, told: strawberry.Parent[RenderedEvent]) -> strawberry.ID:
        return strawberry.ID(global_id("msg", told.event.message_id))

    @strawberry.field(metadata=SHARED)
    def emoji(self, told: strawberry.Parent[RenderedEvent]) -> str:
        return str(told.event.emoji)

    @strawberry.field(graphql_type=User, metadata=SHARED)
    async def user(self, told: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(told.event.user_id)

    @strawberry.field(metadata=SHARED)
    def added(self, told: strawberry.Parent[RenderedEvent]) -> bool:
        return bool(told.event.added)

    @strawberry.field(metadata=SHARED, description="How many have this emoji under the message now.")
    def count(self, told: strawberry.Parent[RenderedEvent]) -> int:
        return int(told.event.count)


@strawberry.type
class MemberChanged(RoomEvent):
    shows: ClassVar = room_events.MemberChanged

    @strawberry.field(graphql_type=User, metadata=SHARED)
    async def user(self, told: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(told.event.user_id)

    @strawberry.field(metadata=SHARED)
    def change(self, told: strawberry.Parent[RenderedEvent]) -> room_events.MemberChange:
        return room_events.MemberChange(told.event.change)

    @strawberry.field(metadata=SHARED)
    def role(self, told: strawberry.Parent[RenderedEvent]) -> room_rows.RoomRole | None:
        return room_rows.RoomRole(told.event.role) if told.event.role else None

    @strawberry.field(metadata=SHARED, description="Muted by a moderator until then.")
    def muted_until(self, told: strawberry.Parent[RenderedEvent]) -> datetime | None:
        event: room_events.MemberChanged = told.event
        return event.muted_until


@strawberry.type
class RoomChanged(RoomEvent):
    shows: ClassVar = room_events.RoomChanged

    @strawberry.field(graphql_type=Room, metadata=SHARED)
    async def room(self, told: strawberry.Parent[RenderedEvent], info: Info) -> room_rows.Room | None:
        return await info.context.rooms.load(told.event.room_id)


@strawberry.type(description="A signal: live only, never replayed; its cursor is the last durable position.")
class ReadMarkerMoved(RoomEvent):
    shows: ClassVar = receipt_events.ReadMarkerMoved

    @strawberry.field(graphql_type=User, metadata=SHARED)
    async def user(self, told: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(told.event.user_id)

    @strawberry.field(metadata=SHARED)
    def up_to_seq(self, told: strawberry.Parent[RenderedEvent]) -> Seq:
        return Seq(told.event.up_to_seq)


@strawberry.type(
    description="The first event of roomEvents, and again where a replay ends: 'you are live'. recovered is false when "
    "part of the log was gone: refetch."
)
class StreamReady(RoomEvent):
    shows: ClassVar = Ready

    @strawberry.field(metadata=SHARED)
    def recovered(self, told: strawberry.Parent[RenderedEvent]) -> bool:
        return bool(told.event.recovered)

    @strawberry.field(metadata=SHARED)
    def replayed_count(self, told: strawberry.Parent[RenderedEvent]) -> int:
        return int(told.event.replayed_count)


@strawberry.type(description="The last event before `complete`, when the server ends the stream.")
class StreamEnded(RoomEvent):
    shows: ClassVar = Ended

    @strawberry.field(metadata=SHARED)
    def reason(self, told: strawberry.Parent[RenderedEvent]) -> StreamEndReason:
        return StreamEndReason(told.event.reason)


EVENT_TYPES = [
    MessageCreated,
    MessageUpdated,
    MessageDeleted,
    ReactionChanged,
    MemberChanged,
    RoomChanged,
    ReadMarkerMoved,
    StreamReady,
    StreamEnded,
]

ROOM_EVENT_TYPES = frozenset(kind.shows for kind in EVENT_TYPES if issubclass(kind.shows, Event))
"""The events among them: what else travels is felt, not told."""
