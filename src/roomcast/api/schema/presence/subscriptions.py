"""Subscriptions to the presence and typing users of a room. These events are not stored."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Context, Info
from roomcast.api.execution.room_renderer import RoomStream
from roomcast.api.schema.accounts.types import User
from roomcast.core.ids import global_id, local_id
from roomcast.live.presence_feeds import PresenceUpdate, TypingUpdate
from roomcast.live.room_streams import RenderedEvent, Stream, StreamStart
from roomcast.presence.policy import MAX_TYPING_USERS, MAX_VISIBLE_USERS, TYPING_EXPIRY_SECONDS
from roomcast.realtime.snapshot_feed import SnapshotFeed

RoomArgument: TypeAlias = Annotated[strawberry.ID, strawberry.argument(description="The id of the room.")]


@strawberry.type(
    description="All users who are typing in a room. It replaces the previous payload. It may include the viewer, "
    "whom clients should leave out."
)
class TypingState:
    @strawberry.field(metadata=SHARED, description="The id of the room.")
    def room_id(self, rendered: strawberry.Parent[RenderedEvent]) -> strawberry.ID:
        return strawberry.ID(global_id("room", rendered.event.room_id))

    @strawberry.field(
        graphql_type=list[User],
        metadata=SHARED | {"items": MAX_TYPING_USERS},
        description=f"At most {MAX_TYPING_USERS} users, the first who began to type first.",
    )
    async def users(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> list[account_rows.User]:
        return await _users(info.context, rendered)

    @strawberry.field(
        metadata=SHARED,
        description="Treat `users` as empty if no further payload arrives within this time: the connection may be "
        "lost.",
    )
    def expires_in_ms(self) -> int:
        return round(TYPING_EXPIRY_SECONDS * 1000)


@strawberry.type(description="Users of a room who are present now, or whose presence has changed.")
class PresenceChange:
    @strawberry.field(
        metadata=SHARED,
        description="If true, `users` are all users who are present, and replace everything known before. If false, "
        "they are the users whose presence has changed. Users who are now OFFLINE have left.",
    )
    def snapshot(self, rendered: strawberry.Parent[RenderedEvent]) -> bool:
        return bool(rendered.event.snapshot)

    @strawberry.field(
        graphql_type=list[User],
        metadata=SHARED | {"items": MAX_VISIBLE_USERS},
        description=f"At most {MAX_VISIBLE_USERS} users of the room are reported. "
        "When one of them leaves, another is added.",
    )
    async def users(self, rendered: strawberry.Parent[RenderedEvent], info: Info) -> list[account_rows.User]:
        return await _users(info.context, rendered)


@strawberry.type
class Subscription:
    @strawberry.subscription(
        graphql_type=TypingState,
        metadata=SHARED,
        description="The users who are typing in a room. Each payload replaces the previous one. Events are not "
        "stored.",
    )
    async def typing(self, info: Info, room_id: RoomArgument) -> RoomStream:
        return await _stream(info.context, room_id, TypingUpdate, info.context.backend.presence.typing_in)

    @strawberry.subscription(
        graphql_type=PresenceChange,
        metadata=SHARED,
        description="The presence of the users in a room: first a snapshot, then batches of changes. Events are not "
        "stored.",
    )
    async def presence(self, info: Info, room_id: RoomArgument) -> RoomStream:
        return await _stream(info.context, room_id, PresenceUpdate, info.context.backend.presence.presence_in)


async def _users(context: Context, rendered: RenderedEvent) -> list[account_rows.User]:
    return [user for user in await context.users.load_many(list(rendered.event.user_ids)) if user is not None]


async def _stream(
    context: Context, id_: str, event_type: type[Any], feed_in: Callable[[UUID], SnapshotFeed]
) -> RoomStream:
    """The stream of a room that the viewer may read. Raises Unauthenticated and NotFound."""
    room_id, tail = await context.backend.stream_access.check(context.actor, local_id("room", id_))
    start_at = StreamStart(room_id, tail, None, expired=False, epoch=context.epoch)
    kinds = frozenset([event_type])
    stream = Stream(start_at, kinds, has_control_events=False, address=context.base_url, feed_in=feed_in)
    return RoomStream(stream)
