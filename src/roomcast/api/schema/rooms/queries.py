"""Queries about rooms."""

from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.loaders import Prefetch
from roomcast.api.schema.connections import ConnectionPage, connection_of
from roomcast.api.schema.rooms.inputs import RoomFilter
from roomcast.api.schema.rooms.types import ACTIVE, LAST, PLACE, InvitePreview, Preview, Room, RoomConnection
from roomcast.core.actor import Actor
from roomcast.core.errors import InviteInvalid, NotFound
from roomcast.core.ids import local_id
from roomcast.core.paging import window
from roomcast.messages import queries as messages
from roomcast.rooms import invites, models, queries
from roomcast.rooms.queries import RoomFilter as Wanted

COUNTS = frozenset({"unreadCount", "unreadIsCapped", "mentionCount"})


@strawberry.type
class Query:
    @strawberry.field(graphql_type=Room | None)
    async def room(self, info: Info, id: strawberry.ID) -> models.Room | None:  # noqa: A002 (the contract's word)
        return await room_or_none(info.context, local_id("room", id))

    @strawberry.field(
        graphql_type=RoomConnection,
        description="Rooms the viewer can see. membership JOINED is 'my chats', DISCOVERABLE the directory.",
    )
    async def rooms(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: RoomFilter | None = None,  # noqa: A002
        order_by: queries.RoomOrder = queries.RoomOrder.LAST_ACTIVITY_DESC,
    ) -> ConnectionPage:
        context, actor, pages = info.context, info.context.actor, window(first, after, last, before)
        wanted = _wanted(actor, filter or RoomFilter())
        async with context.snapshot.session() as session:
            page = await queries.rooms(session, actor, wanted, order_by, pages)
        for room, membership in page.rows:
            context.memberships.prime((room.id, actor.user_id), membership)
        ids = [room.id for room, _ in page.rows]
        mine = [(room.id, actor.user_id) for room, membership in page.rows if membership is not None]
        await context.prefetch(
            Prefetch(COUNTS, context.unread, mine),
            Prefetch(LAST, context.last_messages, ids),
            Prefetch(PLACE, context.room_heads, ids),
            Prefetch(ACTIVE, context.active_user_ids, ids),
        )
        return connection_of(page, lambda room, _membership: room, lambda: _room_count(context, wanted))

    @strawberry.field(
        graphql_type=InvitePreview | None,
        description="Where an invite leads; null when it is not valid (any more). Needs no sign-in.",
    )
    async def invite(self, info: Info, code: str) -> Preview | None:
        try:
            async with info.context.snapshot.session() as session:
                found = await invites.open_invite(session, code)
        except InviteInvalid:
            return None
        return Preview(found.invite, found.room)


async def room_or_none(context: Context, room_id: UUID | None) -> models.Room | None:
    """The room, if the viewer may read it."""
    actor = context.actor
    try:
        async with context.snapshot.session() as session:
            view = await queries.readable_room(session, actor, room_id)
    except NotFound:
        return None
    context.room_heads.prime(view.room.id, view.head)
    context.memberships.prime((view.room.id, actor.user_id), view.membership)
    return view.room


async def _room_count(context: Context, wanted: Wanted) -> int:
    async with context.snapshot.session() as session:
        return await queries.room_count(session, context.actor, wanted)


def _wanted(actor: Actor, chosen: RoomFilter) -> Wanted:
    unread = messages.has_unread(actor) if chosen.unread_only else None
    return Wanted(chosen.membership, chosen.query, chosen.kind, chosen.archived, unread)
