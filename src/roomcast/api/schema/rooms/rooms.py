"""The door of rooms: what they are, who is in them, and finding them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, ClassVar
from uuid import UUID

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Context, Info, Maybe, Prefetch, map_maybe
from roomcast.api.errors import MutationPayload
from roomcast.api.schema.accounts.accounts import User
from roomcast.api.schema.connections import Connected, Edge, PageInfo, connected, total
from roomcast.api.schema.messages.history import history, pinned
from roomcast.api.schema.node import Node
from roomcast.api.schema.scalars import Cursor, Seq
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import NotFound
from roomcast.core.event_log import RoomHead
from roomcast.core.ids import local_id
from roomcast.core.paging import window
from roomcast.messages import models as message_rows
from roomcast.messages import queries as messages
from roomcast.presence.policy import MAX_SHOWN
from roomcast.receipts.queries import Unread
from roomcast.rooms import models, policy, queries
from roomcast.rooms.membership_changes import RoomChange
from roomcast.rooms.queries import RoomFilter as Wanted

if TYPE_CHECKING:
    from roomcast.api.schema.messages.messages import Message, MessageConnection

LazyMessage = Annotated["Message", strawberry.lazy("roomcast.api.schema.messages.messages")]
LazyMessages = Annotated["MessageConnection", strawberry.lazy("roomcast.api.schema.messages.messages")]

strawberry.enum(models.RoomKind)
strawberry.enum(models.RoomVisibility)
strawberry.enum(models.RoomRole)
strawberry.enum(models.NotificationLevel)
strawberry.enum(queries.RoomOrder)
strawberry.enum(queries.RoomMembershipFilter)

COUNTS = frozenset({"unreadCount", "unreadIsCapped", "mentionCount"})
LAST, PLACE, ACTIVE = frozenset({"lastMessage"}), frozenset({"streamCursor"}), frozenset({"activeUsers"})
"""Fields of a page of rooms that are loaded with it."""


@strawberry.type
class RoomMembership:
    role: models.RoomRole
    joined_at: datetime
    last_read_seq: Seq
    notification_level: models.NotificationLevel
    favourite: bool

    @strawberry.field(description="The person's own snooze.")
    def muted_until(self, membership: strawberry.Parent[models.Membership]) -> datetime | None:
        return membership.snoozed_until

    @strawberry.field(graphql_type=int, description="Exact up to 100, then capped.")
    def unread_count(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[int]:
        return map_maybe(_unread(info.context, membership), attrgetter("unread_count"))

    @strawberry.field(graphql_type=bool)
    def unread_is_capped(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[bool]:
        return map_maybe(_unread(info.context, membership), attrgetter("is_capped"))

    @strawberry.field(
        graphql_type=int, description="Unread messages that call the viewer, in threads too. Exact up to 100."
    )
    def mention_count(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[int]:
        return map_maybe(_unread(info.context, membership), attrgetter("mention_count"))


@strawberry.type(description="What the viewer may do here now; the server refuses the rest.")
class RoomPermissions:
    can_send: bool
    can_invite: bool
    can_edit_room: bool
    can_manage_members: bool
    can_pin: bool
    can_delete_others_messages: bool
    can_archive: bool
    can_upload: bool


@strawberry.type
class RoomMember:
    role: models.RoomRole
    joined_at: datetime
    last_read_seq: Seq
    muted_until: datetime | None = strawberry.field(description="Muted by a moderator until then.")

    @strawberry.field(graphql_type=User, metadata=SHARED)
    async def user(self, member: strawberry.Parent[models.Membership], info: Info) -> account_rows.User | None:
        return await info.context.users.load(member.user_id)


@strawberry.type
class RoomMemberEdge:
    cursor: str
    node: models.Membership = strawberry.field(graphql_type=RoomMember)


@strawberry.type
class RoomMemberConnection:
    edges: list[Edge] = strawberry.field(graphql_type=list[RoomMemberEdge])
    nodes: list[models.Membership] = strawberry.field(graphql_type=list[RoomMember])
    page_info: PageInfo

    @strawberry.field(metadata=SHARED)
    async def total_count(self, connection: strawberry.Parent[Connected]) -> int:
        return await total(connection)


@strawberry.type
class Room(Node):
    row: ClassVar = models.Room
    kind: models.RoomKind
    visibility: models.RoomVisibility
    name: str | None = strawberry.field(description="Null for kind DIRECT.")
    topic: str | None
    description: str | None
    created_at: datetime
    archived_at: datetime | None
    slow_mode_seconds: int
    member_count: int

    @strawberry.field(graphql_type=User | None, metadata=SHARED)
    async def created_by(self, room: strawberry.Parent[models.Room], info: Info) -> account_rows.User | None:
        return await info.context.users.load(room.created_by_id) if room.created_by_id else None

    @strawberry.field(graphql_type=list[User], description="The other people of a DIRECT room.")
    async def direct_peers(
        self, room: strawberry.Parent[models.Room], info: Info
    ) -> Sequence[account_rows.User | None]:
        if room.kind != models.RoomKind.DIRECT:
            return []
        context = info.context
        people = await context.direct_people.load(room.id) or []
        return await context.users.load_many([id_ for id_ in people if id_ != context.actor.user_id])

    @strawberry.field(graphql_type=RoomMemberConnection, metadata=SHARED)
    async def members(
        self,
        room: strawberry.Parent[models.Room],
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        role: models.RoomRole | None = None,
    ) -> Connected:
        """Longest there first."""
        wanted = window(first, after, last, before)
        async with info.context.snapshot.session() as session:
            page = await queries.members(session, room.id, role, wanted)
        return connected(page, count=lambda: _member_count(info.context, room.id, role))

    @strawberry.field(graphql_type=LazyMessages, metadata=SHARED)
    async def messages(
        self,
        room: strawberry.Parent[models.Room],
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        around: strawberry.ID | None = None,
        thread_root_id: strawberry.ID | None = None,
    ) -> Connected:
        """The room's history, oldest first; without arguments its newest page. A thread's is asked for by its root."""
        return await history(info.context, room.id, (first, after, last, before), around, thread_root_id)

    @strawberry.field(graphql_type=LazyMessages, metadata=SHARED)
    async def pinned_messages(
        self, room: strawberry.Parent[models.Room], info: Info, first: int | None = None, after: str | None = None
    ) -> Connected:
        """The newest pin first."""
        return await pinned(info.context, room.id, first, after)

    @strawberry.field(graphql_type=LazyMessage | None, metadata=SHARED)
    def last_message(self, room: strawberry.Parent[models.Room], info: Info) -> Maybe[message_rows.Message | None]:
        return info.context.last_messages.now(room.id)

    @strawberry.field(
        graphql_type=list[User],
        metadata=SHARED | {"items": MAX_SHOWN},
        description="People connected to this room now, at most 100.",
    )
    async def active_users(self, room: strawberry.Parent[models.Room], info: Info) -> Sequence[account_rows.User]:
        active = await info.context.active_people.load(room.id) or []
        return [user for user in await info.context.users.load_many(active) if user is not None]

    @strawberry.field(graphql_type=RoomMembership | None, description="Null when the viewer is not a member.")
    def viewer_membership(self, room: strawberry.Parent[models.Room], info: Info) -> Maybe[models.Membership | None]:
        return info.context.memberships.now((room.id, info.context.actor.user_id))

    @strawberry.field(graphql_type=RoomPermissions)
    def viewer_permissions(self, room: strawberry.Parent[models.Room], info: Info) -> Maybe[policy.Permissions]:
        actor = info.context.actor
        membership = info.context.memberships.now((room.id, actor.user_id))
        return map_maybe(membership, lambda found: policy.permissions(actor, room, found, now()))

    @strawberry.field(
        metadata=SHARED,
        description="Position for `after:` of this room's subscriptions, exact for this response's snapshot.",
    )
    async def stream_cursor(self, room: strawberry.Parent[models.Room], info: Info) -> Cursor:
        head = await _head(info.context, room.id)
        return Cursor(info.context.cursor(room.id, head.last_seq))


@strawberry.type
class RoomEdge:
    cursor: str
    node: models.Room = strawberry.field(graphql_type=Room)


@strawberry.type
class RoomConnection:
    edges: list[Edge] = strawberry.field(graphql_type=list[RoomEdge])
    nodes: list[models.Room] = strawberry.field(graphql_type=list[Room])
    page_info: PageInfo

    @strawberry.field
    async def total_count(self, connection: strawberry.Parent[Connected]) -> int:
        return await total(connection)


@strawberry.type
class RoomPayload(MutationPayload):
    room: models.Room | None = strawberry.field(
        graphql_type=Room | None,
        default=None,
        description="As it is after the change; null when the viewer can no longer read it.",
    )
    cursor: Cursor | None = strawberry.field(
        default=None, description="The position of the event that this change caused; null when nothing changed."
    )


@strawberry.input
class RoomFilter:
    membership: queries.RoomMembershipFilter = queries.RoomMembershipFilter.JOINED
    query: str | None = strawberry.field(
        default=None,
        description="Found anywhere in a room's name, or in those of the other people of a direct conversation, "
        "whatever its case and accents.",
    )
    kind: models.RoomKind | None = None
    unread_only: bool = strawberry.field(
        default=False, description="With others' messages outside threads that the viewer has not read."
    )
    archived: bool = False


@strawberry.input
class RoomIdInput:
    room_id: strawberry.ID


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
    ) -> Connected:
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
            Prefetch(PLACE, context.heads, ids),
            Prefetch(ACTIVE, context.active_people, ids),
        )
        return connected(page, lambda room, _membership: room, lambda: _room_count(context, wanted))


async def room_or_none(context: Context, room_id: UUID | None) -> models.Room | None:
    """The room, if the viewer may read it."""
    actor = context.actor
    try:
        async with context.snapshot.session() as session:
            view = await queries.readable_room(session, actor, room_id)
    except NotFound:
        return None
    context.heads.prime(view.room.id, view.head)
    context.memberships.prime((view.room.id, actor.user_id), view.membership)
    return view.room


async def room_payload(context: Context, change: Callable[[Work], Awaitable[RoomChange]]) -> RoomPayload:
    """Commit the change; the room as it is now, if the viewer may still read it, and where that was announced."""
    async with context.backend.db.work() as work:
        changed = await change(work)
    await context.changed()
    cursor = None if changed.seq is None else Cursor(context.cursor(changed.room.id, changed.seq))
    return RoomPayload(room=await room_or_none(context, changed.room.id), cursor=cursor)


async def _head(context: Context, room_id: UUID) -> RoomHead:
    head = await context.heads.load(room_id)
    if head is None:
        raise NotFound("no such room")
    return head


def _unread(context: Context, membership: models.Membership) -> Maybe[Unread | None]:
    return context.unread.now((membership.room_id, membership.user_id))


async def _member_count(context: Context, room_id: UUID, role: models.RoomRole | None) -> int:
    async with context.snapshot.session() as session:
        return await queries.member_count(session, room_id, role)


async def _room_count(context: Context, wanted: Wanted) -> int:
    async with context.snapshot.session() as session:
        return await queries.room_count(session, context.actor, wanted)


def _wanted(actor: Actor, chosen: RoomFilter) -> Wanted:
    unread = messages.has_unread(actor) if chosen.unread_only else None
    return Wanted(chosen.membership, chosen.query, chosen.kind, chosen.archived, unread)
