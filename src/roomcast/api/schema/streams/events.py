"""GraphQL types of the events that a room's streams show."""

from datetime import datetime
from typing import Any, ClassVar

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Info
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.messages.types import Message
from roomcast.api.schema.rooms.types import Room
from roomcast.api.schema.scalars import Cursor, Seq
from roomcast.core.events import Event
from roomcast.core.ids import global_id
from roomcast.live.room_streams import Ended, Ready, RenderedEvent, StreamEndReason
from roomcast.messages import events as message_events
from roomcast.messages import models as message_rows
from roomcast.receipts import events as receipt_events
from roomcast.rooms import events as room_events
from roomcast.rooms import models as room_rows

strawberry.enum(room_events.MemberChange)
strawberry.enum(message_events.MessageUpdateReason)
strawberry.enum(StreamEndReason)


@strawberry.interface
class RoomEvent:
    event_class: ClassVar[type[Any]]

    @strawberry.field(metadata=SHARED)
    def cursor(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> Cursor:
        return Cursor(info.context.cursor(rendered.event.room_id, rendered.event.seq))

    @strawberry.field(metadata=SHARED)
    def at(self, rendered: strawberry.Parent[RenderedEvent]) -> datetime:
        at: datetime = rendered.event.at
        return at

    replayed: bool

    @classmethod
    def is_type_of(cls, rendered: RenderedEvent, _info: object) -> bool:
        return isinstance(rendered.event, cls.event_class)


async def _message(rendered: RenderedEvent, info: Info) -> message_rows.Message | None:
    """The event's message, without a statement if the event carries it and its author."""
    event = rendered.event
    if not isinstance(event, message_events.MessageCreated) or event.fresh is None:
        return await info.context.messages.load(event.message_id)
    if event.author is not None:
        info.context.users.prime(event.author.id, event.author)
    return event.fresh


@strawberry.type
class MessageDelivery:
    replayed: bool

    @strawberry.field(metadata=SHARED)
    def cursor(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> Cursor:
        return Cursor(info.context.cursor(rendered.event.room_id, rendered.event.seq))

    @strawberry.field(graphql_type=Message, metadata=SHARED)
    async def message(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(rendered, info)


@strawberry.type
class MessageCreated(RoomEvent):
    event_class: ClassVar = message_events.MessageCreated

    @strawberry.field(graphql_type=Message, metadata=SHARED)
    async def message(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(rendered, info)


@strawberry.type
class MessageUpdated(RoomEvent):
    event_class: ClassVar = message_events.MessageUpdated

    @strawberry.field(graphql_type=Message, metadata=SHARED)
    async def message(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(rendered, info)

    @strawberry.field(metadata=SHARED)
    def reason(self, rendered: strawberry.Parent[RenderedEvent]) -> message_events.MessageUpdateReason:
        return message_events.MessageUpdateReason(rendered.event.reason)


@strawberry.type
class MessageDeleted(RoomEvent):
    event_class: ClassVar = message_events.MessageDeleted

    @strawberry.field(metadata=SHARED)
    def message_id(self, rendered: strawberry.Parent[RenderedEvent]) -> strawberry.ID:
        return strawberry.ID(global_id("msg", rendered.event.message_id))

    @strawberry.field(metadata=SHARED)
    def message_seq(self, rendered: strawberry.Parent[RenderedEvent]) -> Seq:
        return Seq(rendered.event.message_seq)

    @strawberry.field(graphql_type=User | None, metadata=SHARED)
    async def deleted_by(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(rendered.event.deleted_by_id)


@strawberry.type
class ReactionChanged(RoomEvent):
    event_class: ClassVar = message_events.ReactionChanged

    @strawberry.field(metadata=SHARED)
    def message_id(self, rendered: strawberry.Parent[RenderedEvent]) -> strawberry.ID:
        return strawberry.ID(global_id("msg", rendered.event.message_id))

    @strawberry.field(metadata=SHARED)
    def emoji(self, rendered: strawberry.Parent[RenderedEvent]) -> str:
        return str(rendered.event.emoji)

    @strawberry.field(graphql_type=User, metadata=SHARED)
    async def user(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(rendered.event.user_id)

    @strawberry.field(metadata=SHARED)
    def added(self, rendered: strawberry.Parent[RenderedEvent]) -> bool:
        return bool(rendered.event.added)

    @strawberry.field(metadata=SHARED, description="How many users have added this emoji to the message.")
    def count(self, rendered: strawberry.Parent[RenderedEvent]) -> int:
        return int(rendered.event.count)


@strawberry.type
class MemberChanged(RoomEvent):
    event_class: ClassVar = room_events.MemberChanged

    @strawberry.field(graphql_type=User, metadata=SHARED)
    async def user(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(rendered.event.user_id)

    @strawberry.field(metadata=SHARED)
    def change(self, rendered: strawberry.Parent[RenderedEvent]) -> room_events.MemberChange:
        return room_events.MemberChange(rendered.event.change)

    @strawberry.field(metadata=SHARED)
    def role(self, rendered: strawberry.Parent[RenderedEvent]) -> room_rows.RoomRole | None:
        return room_rows.RoomRole(rendered.event.role) if rendered.event.role else None

    @strawberry.field(metadata=SHARED, description="The member is muted by a moderator until this time.")
    def muted_until(self, rendered: strawberry.Parent[RenderedEvent]) -> datetime | None:
        event: room_events.MemberChanged = rendered.event
        return event.muted_until


@strawberry.type
class RoomChanged(RoomEvent):
    event_class: ClassVar = room_events.RoomChanged

    @strawberry.field(graphql_type=Room, metadata=SHARED)
    async def room(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> room_rows.Room | None:
        return await info.context.rooms.load(rendered.event.room_id)


@strawberry.type(description="A signal: sent live, never replayed. Its cursor is the last durable position.")
class ReadMarkerMoved(RoomEvent):
    event_class: ClassVar = receipt_events.ReadMarkerMoved

    @strawberry.field(graphql_type=User, metadata=SHARED)
    async def user(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(rendered.event.user_id)

    @strawberry.field(metadata=SHARED)
    def up_to_seq(self, rendered: strawberry.Parent[RenderedEvent]) -> Seq:
        return Seq(rendered.event.up_to_seq)


@strawberry.type(
    description="The first event of roomEvents, sent again when a replay ends: the stream is live. If recovered is "
    "false, part of the log was missing: fetch the room's data again."
)
class StreamReady(RoomEvent):
    event_class: ClassVar = Ready

    @strawberry.field(metadata=SHARED)
    def recovered(self, rendered: strawberry.Parent[RenderedEvent]) -> bool:
        return bool(rendered.event.recovered)

    @strawberry.field(metadata=SHARED)
    def replayed_count(self, rendered: strawberry.Parent[RenderedEvent]) -> int:
        return int(rendered.event.replayed_count)


@strawberry.type(description="The last event before `complete`, when the server ends the stream.")
class StreamEnded(RoomEvent):
    event_class: ClassVar = Ended

    @strawberry.field(metadata=SHARED)
    def reason(self, rendered: strawberry.Parent[RenderedEvent]) -> StreamEndReason:
        return StreamEndReason(rendered.event.reason)


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

ROOM_EVENT_TYPES = frozenset(kind.event_class for kind in EVENT_TYPES if issubclass(kind.event_class, Event))
"""The events among them: what else travels is felt, not rendered."""
