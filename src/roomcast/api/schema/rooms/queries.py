"""Queries for rooms, the room directory and invites."""

from functools import partial
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.loaders import Prefetch
from roomcast.api.schema.connections import ConnectionPage, connection_of
from roomcast.api.schema.rooms.inputs import RoomFilter
from roomcast.api.schema.rooms.types import InvitePreview, Preview, Room, RoomConnection
from roomcast.core.errors import InviteInvalid, NotFound
from roomcast.core.ids import local_id
from roomcast.core.paging import window
from roomcast.messages import queries as messages
from roomcast.rooms import invites, models, queries

UNREAD_FIELDS = frozenset({"unreadCount", "unreadIsCapped", "mentionCount"})
LAST_MESSAGE_FIELDS = frozenset({"lastMessage"})
HEAD_FIELDS = frozenset({"streamCursor"})
ACTIVE_USER_FIELDS = frozenset({"activeUsers"})
"""Fields whose rows are loaded for a whole page of rooms at once."""


@strawberry.type
class Query:
    @strawberry.field(graphql_type=Room | None)
    async def room(self, info: Info, id: strawberry.ID) -> models.Room | None:  # noqa: A002 (GraphQL's name)
        return await room_or_none(info.context, local_id("room", id))

    @strawberry.field(
        graphql_type=RoomConnection,
        description="Rooms that the viewer can see. `membership: JOINED` is the viewer's room list, `DISCOVERABLE` "
        "the directory of rooms to join.",
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
        context, actor = info.context, info.context.actor
        page_window = window(first, after, last, before)
        chosen = filter or RoomFilter()
        unread = messages.has_unread(actor) if chosen.unread_only else None
        room_filter = queries.RoomFilter(chosen.membership, chosen.query, chosen.kind, chosen.archived, unread)
        page = await context.read(queries.rooms, actor, room_filter, order_by, page_window)
        for room, membership in page.rows:
            context.memberships.prime((room.id, actor.user_id), membership)
        ids = [room.id for room, _ in page.rows]
        member_keys = [(room.id, actor.user_id) for room, membership in page.rows if membership is not None]
        await context.prefetch(
            Prefetch(UNREAD_FIELDS, context.unread, member_keys),
            Prefetch(LAST_MESSAGE_FIELDS, context.last_messages, ids),
            Prefetch(HEAD_FIELDS, context.room_heads, ids),
            Prefetch(ACTIVE_USER_FIELDS, context.active_user_ids, ids),
        )
        count = partial(context.read, queries.room_count, actor, room_filter)
        return connection_of(page, lambda room, _membership: room, count)

    @strawberry.field(
        graphql_type=InvitePreview | None,
        description="A preview of the room of an invite. Null if the invite is not valid. No sign-in is required.",
    )
    async def invite(self, info: Info, code: str) -> Preview | None:
        try:
            opened = await info.context.read(invites.valid_invite, code)
        except InviteInvalid:
            return None
        return Preview(opened.invite, opened.room)


async def room_or_none(context: Context, room_id: UUID | None) -> models.Room | None:
    """The room, or None if the viewer may not read it."""
    actor = context.actor
    try:
        view = await context.read(queries.readable_room, actor, room_id)
    except NotFound:
        return None
    context.room_heads.prime(view.room.id, view.head)
    context.memberships.prime((view.room.id, actor.user_id), view.membership)
    return view.room
