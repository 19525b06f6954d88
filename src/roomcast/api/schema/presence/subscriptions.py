"""Subscriptions to presence."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Context, Info
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.streams.events import RenderedEvent
from roomcast.api.schema.streams.subscriptions import Stream, StreamStart
from roomcast.core.ids import global_id, local_id
from roomcast.live.presence_feeds import PresenceUpdate, TypingUpdate
from roomcast.presence.policy import MAX_SHOWN, MAX_TYPISTS, TYPING_EXPIRY_SECONDS
from roomcast.realtime.snapshot_feed import SnapshotFeed
from roomcast.rooms import queries as rooms


@strawberry.type(description="Replaces the one before. People are told of themselves too: clients leave their own out.")
class TypingState:
    @strawberry.field(metadata=SHARED)
    def room_id(self, told: strawberry.Parent[RenderedEvent]) -> strawberry.ID:
        return strawberry.ID(global_id("room", told.event.room_id))

    @strawberry.field(
        graphql_type=list[User],
        metadata=SHARED | {"items": MAX_TYPISTS},
        description=f"Who began first comes first; at most {MAX_TYPISTS}.",
    )
    async def users(self, told: strawberry.Parent[RenderedEvent], info: Info) -> list[account_rows.User]:
        return await _users(info.context, told)

    @strawberry.field(
        metadata=SHARED, description="Without another payload in this time, nobody types: the server is not heard."
    )
    def expires_in_ms(self) -> int:
        return round(TYPING_EXPIRY_SECONDS * 1000)


@strawberry.type
class PresenceChange:
    @strawberry.field(
        metadata=SHARED,
        description="These people are all who are here, whatever was known before. Otherwise these have changed, and "
        "who is OFFLINE now is not here any more.",
    )
    def snapshot(self, told: strawberry.Parent[RenderedEvent]) -> bool:
        return bool(told.event.snapshot)

    @strawberry.field(
        graphql_type=list[User],
        metadata=SHARED | {"items": MAX_SHOWN},
        description=f"At most {MAX_SHOWN} of the room's people are shown; where one of them goes, another comes in.",
    )
    async def users(self, told: strawberry.Parent[RenderedEvent], info: Info) -> list[account_rows.User]:
        return await _users(info.context, told)


@strawberry.type
class Subscription:
    @strawberry.subscription(
        graphql_type=TypingState, metadata=SHARED, description="Not stored. Each payload replaces the one before."
    )
    async def typing(self, info: Info, room_id: strawberry.ID) -> Stream:
        return await _stream(info.context, room_id, TypingUpdate, info.context.backend.presence.typing_in)

    @strawberry.subscription(
        graphql_type=PresenceChange,
        metadata=SHARED,
        description="Not stored. The people of one room: a snapshot first, then coalesced changes.",
    )
    async def presence(self, info: Info, room_id: strawberry.ID) -> Stream:
        return await _stream(info.context, room_id, PresenceUpdate, info.context.backend.presence.presence_in)


async def _users(context: Context, told: RenderedEvent) -> list[account_rows.User]:
    return [user for user in await context.users.load_many(list(told.event.user_ids)) if user is not None]


async def _stream(context: Context, room_id: str, shows: type[Any], state_of: Callable[[UUID], SnapshotFeed]) -> Stream:
    """Raises Unauthenticated, NotFound."""
    async with context.snapshot.session() as session:
        view = await rooms.readable_room(session, context.actor, local_id("room", room_id))
    place = StreamStart(view.room.id, view.head.last_seq, None, expired=False)
    return Stream(place, frozenset([shows]), speaks=False, address=context.base_url, state_of=state_of)
