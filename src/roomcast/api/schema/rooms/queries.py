"""Queries for rooms, the room directory and invites."""

from functools import partial
from typing import Annotated
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.loaders import Prefetch
from roomcast.api.schema.connections import After, Before, ConnectionPage, First, Last, connection_of
from roomcast.api.schema.node import MemberNode, MembershipNode
from roomcast.api.schema.rooms.inputs import RoomFilter
from roomcast.api.schema.rooms.invite_types import InvitePreview, Preview
from roomcast.api.schema.rooms.types import Room, RoomConnection
from roomcast.core.errors import InviteInvalid, NotFound
from roomcast.core.ids import local_id, local_pair
from roomcast.core.paging import window
from roomcast.messages import queries as messages
from roomcast.rooms import invites, models, queries

UNREAD_FIELDS = frozenset({"unreadCount", "unreadIsCapped", "mentionCount"})
LAST_MESSAGE_FIELDS = frozenset({"lastMessage"})
ACTIVE_USER_FIELDS = frozenset({"activeUsers"})
"""Fields whose rows are loaded for a whole page of rooms at once."""


@strawberry.type
class Query:
    @strawberry.field(
        graphql_type=Room | None, description="The room with this id. Null if the viewer cannot read such a room."
    )
    async def room(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The id of a room, `room_…`.")],  # noqa: A002 (GraphQL's name)
    ) -> models.Room | None:
        return await room_or_none(info.context, local_id("room", id))

    @strawberry.field(
        graphql_type=Room | None,
        description="The public room with this name, without regard to case and look-alikes. Null if there is none. "
        "Private rooms are never found by their name.",
    )
    async def room_by_name(
        self, info: Info, name: Annotated[str, strawberry.argument(description="The whole name of the room.")]
    ) -> models.Room | None:
        context = info.context
        try:
            return remember_room(context, await context.read(queries.public_room_by_name, context.actor, name))
        except NotFound:
            return None

    @strawberry.field(
        graphql_type=RoomConnection | None,
        description="Rooms that the viewer can see. `membership: JOINED` is the viewer's room list, `DISCOVERABLE` "
        "the directory of rooms to join.",
    )
    async def rooms(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[  # noqa: A002 (GraphQL's name)
            RoomFilter | None,
            strawberry.argument(description="Only rooms that match all of its fields. Without it, the viewer's rooms."),
        ] = None,
        order_by: Annotated[
            queries.RoomOrder, strawberry.argument(description="The order of the rooms.")
        ] = queries.RoomOrder.LAST_ACTIVITY_DESC,
    ) -> ConnectionPage:
        context, actor = info.context, info.context.actor
        page_window = window(first, after, last, before)
        chosen = filter or RoomFilter()
        unread = messages.HAS_UNREAD if chosen.unread_only else None
        room_filter = queries.RoomFilter(chosen.membership, chosen.query, chosen.kind, chosen.archived, unread)
        page = await context.read_direct(queries.room_list_read(actor, room_filter, order_by, page_window))
        for row in page.rows:
            remember_room(context, queries.RoomView(*row))
        ids = [room.id for room, _, _ in page.rows]
        member_keys = [(room.id, actor.user_id) for room, _, membership in page.rows if membership is not None]
        await context.prefetch(
            Prefetch(UNREAD_FIELDS, context.unread, member_keys),
            Prefetch(LAST_MESSAGE_FIELDS, context.last_messages, ids),
            Prefetch(ACTIVE_USER_FIELDS, context.active_user_ids, ids),
        )
        last_authors = {message.author_id for message in context.last_messages.loaded(ids) if message.author_id}
        await context.prefetch(Prefetch(frozenset({"author"}), context.users, last_authors))
        count = partial(context.read, queries.room_count, actor, room_filter)
        return connection_of(page, lambda room, _head, _membership: room, count)

    @strawberry.field(
        graphql_type=InvitePreview | None,
        description="A preview of the room of an invite. Null if the invite is not valid. No sign-in is required.",
    )
    async def invite(
        self, info: Info, code: Annotated[str, strawberry.argument(description="The code of the invite.")]
    ) -> Preview | None:
        try:
            opened = await info.context.read(invites.valid_invite, code)
        except InviteInvalid:
            return None
        return Preview(opened.invite, opened.room)


async def room_or_none(context: Context, room_id: UUID | None) -> models.Room | None:
    """The room, or None if the viewer may not read it."""
    try:
        view = await context.read_direct(queries.room_read(context.actor, room_id))
    except NotFound:
        return None
    return remember_room(context, view)


async def member_or_none(context: Context, member_id: str) -> MemberNode | None:
    """The member with this global id, or None if the viewer may not read the room."""
    key = local_pair("member", member_id)
    if key is None or await room_or_none(context, key[0]) is None:
        return None
    member = await context.memberships.load(key)
    return MemberNode(member) if member is not None else None


async def membership_or_none(context: Context, membership_id: str) -> MembershipNode | None:
    """The membership with this global id, or None if it is not the viewer's own."""
    key = local_pair("membership", membership_id)
    if key is None or key[1] != context.actor.user_id or await room_or_none(context, key[0]) is None:
        return None
    membership = await context.memberships.load(key)
    return MembershipNode(membership) if membership is not None else None


def remember_room(context: Context, view: queries.RoomView) -> models.Room:
    """Store what was read with a room, for the fields that ask for it."""
    room_id = view.room.id
    context.rooms.prime(room_id, view.room)
    context.room_heads.prime(room_id, view.head)
    context.memberships.prime((room_id, context.actor.user_id), view.membership)
    return view.room
