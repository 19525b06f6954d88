"""GraphQL types of the events that a room's streams show."""

from datetime import datetime
from typing import Any, ClassVar

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Info
from roomcast.api.enums import describe_enum
from roomcast.api.loaders import Maybe
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.connections import Edge
from roomcast.api.schema.messages.types import Message, MessageEdge, message_edge
from roomcast.api.schema.rooms.types import Room, RoomMember
from roomcast.api.schema.scalars import Cursor, Seq
from roomcast.core.events import Event
from roomcast.core.ids import global_id
from roomcast.live.room_streams import Ended, Ready, RenderedEvent, StreamEndReason
from roomcast.messages import events as message_events
from roomcast.messages import models as message_rows
from roomcast.receipts import events as receipt_events
from roomcast.rooms import events as room_events
from roomcast.rooms import models as room_rows

CREATED_DESCRIPTION = "The message. In a replay it is shown as it is now, so it may be edited or deleted."
EDGE_DESCRIPTION = "The message with the cursor that it has in the history of its room, for caches that keep edges."

describe_enum(
    room_events.MemberChange,
    "What happened to a membership.",
    JOINED="The user joined, or was added.",
    LEFT="The member left.",
    REMOVED="The member was removed.",
    ROLE_CHANGED="The member has another role.",
    MUTED="A moderator muted the member.",
    UNMUTED="A moderator lifted the mute.",
)
describe_enum(
    message_events.MessageUpdateReason,
    "What happened to a message.",
    EDITED="It has another body.",
    PINNED="It was pinned.",
    UNPINNED="It is not pinned any more.",
)
describe_enum(
    StreamEndReason,
    "Why the server ended a stream.",
    REMOVED_FROM_ROOM="The viewer may not read the room any more.",
    ROOM_DELETED="The room was deleted.",
    BANNED="The viewer was banned.",
    SESSION_REVOKED="The viewer's session has ended. Sign in again.",
)


@strawberry.interface(
    description="Something that happened in a room. Use a default branch: new types of events may be added at any time."
)
class RoomEvent:
    event_class: ClassVar[type[Any]]

    @strawberry.field(metadata=SHARED, description="The id of the room.")
    def room_id(self, rendered: strawberry.Parent[RenderedEvent]) -> strawberry.ID:
        return strawberry.ID(global_id("room", rendered.event.room_id))

    @strawberry.field(
        metadata=SHARED, description="The position after this event. Store it, and use it as `after` to continue."
    )
    def cursor(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> Cursor:
        return _cursor(rendered, info)

    @strawberry.field(metadata=SHARED, description="When it happened.")
    def at(self, rendered: strawberry.Parent[RenderedEvent]) -> datetime:
        at: datetime = rendered.event.at
        return at

    replayed: bool = strawberry.field(
        description="Whether it happened before the stream was live, and is sent now because of `after`."
    )

    @classmethod
    def is_type_of(cls, rendered: RenderedEvent, _info: object) -> bool:
        return isinstance(rendered.event, cls.event_class)


def _cursor(rendered: RenderedEvent, info: Info) -> Cursor:
    return Cursor(info.context.cursor(rendered.event.room_id, rendered.event.seq))


async def _message(rendered: RenderedEvent, info: Info) -> message_rows.Message | None:
    """The event's message, without a statement if the event carries it and its author."""
    event = rendered.event
    if not isinstance(event, message_events.MessageCreated) or event.fresh is None:
        return await info.context.messages.load(event.message_id)
    if event.author is not None:
        info.context.users.prime(event.author.id, event.author)
    return event.fresh


async def _message_edge(rendered: RenderedEvent, info: Info) -> Edge | None:
    message = await _message(rendered, info)
    return message_edge(message) if message is not None else None


@strawberry.type(description="A new message of a room.")
class MessageDelivery:
    replayed: bool = strawberry.field(
        description="Whether it was sent before the stream was live, and is delivered now because of `after`."
    )

    @strawberry.field(
        metadata=SHARED, description="The position after this message. Store it, and use it as `after` to continue."
    )
    def cursor(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> Cursor:
        return _cursor(rendered, info)

    @strawberry.field(graphql_type=Message, metadata=SHARED, description=CREATED_DESCRIPTION)
    async def message(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(rendered, info)

    @strawberry.field(graphql_type=MessageEdge, metadata=SHARED, description=EDGE_DESCRIPTION)
    async def message_edge(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> Edge | None:
        return await _message_edge(rendered, info)


@strawberry.type(description="A message was sent, in the room or in one of its threads.")
class MessageCreated(RoomEvent):
    event_class: ClassVar = message_events.MessageCreated

    @strawberry.field(graphql_type=Message, metadata=SHARED, description=CREATED_DESCRIPTION)
    async def message(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(rendered, info)

    @strawberry.field(graphql_type=MessageEdge, metadata=SHARED, description=EDGE_DESCRIPTION)
    async def message_edge(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> Edge | None:
        return await _message_edge(rendered, info)


@strawberry.type(description="A message was edited, pinned or unpinned.")
class MessageUpdated(RoomEvent):
    event_class: ClassVar = message_events.MessageUpdated

    @strawberry.field(graphql_type=Message, metadata=SHARED, description="The message as it is now.")
    async def message(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(rendered, info)

    @strawberry.field(metadata=SHARED, description="What happened to the message.")
    def update_reason(self, rendered: strawberry.Parent[RenderedEvent]) -> message_events.MessageUpdateReason:
        return message_events.MessageUpdateReason(rendered.event.reason)


@strawberry.type(description="A message was deleted.")
class MessageDeleted(RoomEvent):
    event_class: ClassVar = message_events.MessageDeleted

    @strawberry.field(
        graphql_type=Message,
        metadata=SHARED,
        description="What is left of the message: its id, `seq`, author and times. Its content is erased.",
    )
    async def message(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(rendered, info)

    @strawberry.field(metadata=SHARED, description="The id of the message.")
    def message_id(self, rendered: strawberry.Parent[RenderedEvent]) -> strawberry.ID:
        return strawberry.ID(global_id("msg", rendered.event.message_id))

    @strawberry.field(metadata=SHARED, description="The position of the message in the room. It stays taken.")
    def message_seq(self, rendered: strawberry.Parent[RenderedEvent]) -> Seq:
        return Seq(rendered.event.message_seq)

    @strawberry.field(
        graphql_type=User | None, metadata=SHARED, description="The user who deleted it: its author or a moderator."
    )
    async def deleted_by(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(rendered.event.deleted_by_id)


@strawberry.type(description="A user added a reaction to a message or removed one.")
class ReactionChanged(RoomEvent):
    event_class: ClassVar = message_events.ReactionChanged

    @strawberry.field(
        graphql_type=Message, metadata=SHARED, description="The message as it is now, with all its reactions."
    )
    async def message(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> message_rows.Message | None:
        return await _message(rendered, info)

    @strawberry.field(metadata=SHARED, description="The id of the message.")
    def message_id(self, rendered: strawberry.Parent[RenderedEvent]) -> strawberry.ID:
        return strawberry.ID(global_id("msg", rendered.event.message_id))

    @strawberry.field(metadata=SHARED, description="The emoji that was added or removed.")
    def emoji(self, rendered: strawberry.Parent[RenderedEvent]) -> str:
        return str(rendered.event.emoji)

    @strawberry.field(graphql_type=User, metadata=SHARED, description="The user who added or removed it.")
    async def user(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(rendered.event.user_id)

    @strawberry.field(metadata=SHARED, description="True if it was added, false if it was removed.")
    def added(self, rendered: strawberry.Parent[RenderedEvent]) -> bool:
        return bool(rendered.event.added)

    @strawberry.field(
        metadata=SHARED, description="How many users had added this emoji to the message after this event."
    )
    def count(self, rendered: strawberry.Parent[RenderedEvent]) -> int:
        return int(rendered.event.count)


@strawberry.type(description="A user joined or left the room, or a member was given a role or muted.")
class MemberChanged(RoomEvent):
    event_class: ClassVar = room_events.MemberChanged

    @strawberry.field(
        graphql_type=Room, metadata=SHARED, description="The room as it is now, with its number of members."
    )
    def room(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> Maybe[room_rows.Room | None]:
        return info.context.rooms.load_now(rendered.event.room_id)

    @strawberry.field(
        graphql_type=RoomMember | None,
        metadata=SHARED,
        description="The member as they are now. Null if the user is not in the room any more.",
    )
    def member(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> Maybe[room_rows.Membership | None]:
        event: room_events.MemberChanged = rendered.event
        return info.context.memberships.load_now((event.room_id, event.user_id))

    @strawberry.field(graphql_type=User, metadata=SHARED, description="The user whose membership changed.")
    async def user(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(rendered.event.user_id)

    @strawberry.field(metadata=SHARED, description="What happened.")
    def change(self, rendered: strawberry.Parent[RenderedEvent]) -> room_events.MemberChange:
        return room_events.MemberChange(rendered.event.change)

    @strawberry.field(
        metadata=SHARED, description="The member's role after this event. Null if the membership has ended."
    )
    def role(self, rendered: strawberry.Parent[RenderedEvent]) -> room_rows.RoomRole | None:
        return room_rows.RoomRole(rendered.event.role) if rendered.event.role else None

    @strawberry.field(metadata=SHARED, description="The member is muted by a moderator until this time.")
    def muted_until(self, rendered: strawberry.Parent[RenderedEvent]) -> datetime | None:
        event: room_events.MemberChanged = rendered.event
        return event.muted_until


@strawberry.type(description="The room itself changed: its name, topic, description, visibility, limits or archive.")
class RoomChanged(RoomEvent):
    event_class: ClassVar = room_events.RoomChanged

    @strawberry.field(graphql_type=Room, metadata=SHARED, description="The room as it is now.")
    async def room(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> room_rows.Room | None:
        return await info.context.rooms.load(rendered.event.room_id)


@strawberry.type(
    description="A member has read further. It is a signal: sent live in rooms of up to 100 members, never replayed. "
    "Its cursor is the last durable position."
)
class ReadMarkerMoved(RoomEvent):
    event_class: ClassVar = receipt_events.ReadMarkerMoved

    @strawberry.field(graphql_type=User, metadata=SHARED, description="The member who has read.")
    async def user(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> account_rows.User | None:
        return await info.context.users.load(rendered.event.user_id)

    @strawberry.field(metadata=SHARED, description="They have read all messages up to this `seq`.")
    def up_to_seq(self, rendered: strawberry.Parent[RenderedEvent]) -> Seq:
        return Seq(rendered.event.up_to_seq)


@strawberry.type(
    description="The first event of roomEvents, sent again when a replay ends: the stream is live. If recovered is "
    "false, part of the log was missing: fetch the room's data again."
)
class StreamReady(RoomEvent):
    event_class: ClassVar = Ready

    @strawberry.field(
        metadata=SHARED,
        description="False if the events after the client's cursor are not available: fetch the room's data again.",
    )
    def recovered(self, rendered: strawberry.Parent[RenderedEvent]) -> bool:
        return bool(rendered.event.recovered)

    @strawberry.field(metadata=SHARED, description="How many events were replayed. 0 before a replay.")
    def replayed_count(self, rendered: strawberry.Parent[RenderedEvent]) -> int:
        return int(rendered.event.replayed_count)


@strawberry.type(description="The last event before `complete`, when the server ends the stream.")
class StreamEnded(RoomEvent):
    event_class: ClassVar = Ended

    @strawberry.field(metadata=SHARED, description="Why the stream ended.")
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
