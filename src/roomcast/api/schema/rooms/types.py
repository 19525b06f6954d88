"""GraphQL types of rooms, members and invites."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Context, Info
from roomcast.api.loaders import Maybe, map_maybe
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.connections import ConnectionPage, Edge, PageInfo, connection_of
from roomcast.api.schema.node import Node
from roomcast.api.schema.rooms.history import history, pinned
from roomcast.api.schema.scalars import Cursor, Seq
from roomcast.core.clock import now
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id
from roomcast.core.paging import window
from roomcast.messages import models as message_rows
from roomcast.presence.policy import MAX_VISIBLE_USERS
from roomcast.receipts.queries import RoomReadState
from roomcast.rooms import models, policy, queries

if TYPE_CHECKING:
    from roomcast.api.schema.messages.types import Message, MessageConnection

# Messages refer to their room, and rooms to their messages. This is the only reference from rooms to messages.
# Strawberry resolves it after both modules are imported.
LazyMessage = Annotated["Message", strawberry.lazy("roomcast.api.schema.messages.types")]
LazyMessages = Annotated["MessageConnection", strawberry.lazy("roomcast.api.schema.messages.types")]


strawberry.enum(models.RoomKind)
strawberry.enum(models.RoomVisibility)
strawberry.enum(models.RoomRole)
strawberry.enum(models.NotificationLevel)
strawberry.enum(queries.RoomOrder)
strawberry.enum(queries.RoomMembershipFilter)


@strawberry.type
class RoomMembership:
    role: models.RoomRole
    joined_at: datetime
    last_read_seq: Seq
    notification_level: models.NotificationLevel
    favourite: bool

    @strawberry.field(description="The end of the viewer's own mute of this room.")
    def muted_until(self, membership: strawberry.Parent[models.Membership]) -> datetime | None:
        return membership.snoozed_until

    @strawberry.field(graphql_type=int, description="Exact up to 100. Larger counts are capped, see `unreadIsCapped`.")
    def unread_count(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[int]:
        return map_maybe(_unread(info.context, membership), attrgetter("unread_count"))

    @strawberry.field(graphql_type=bool)
    def unread_is_capped(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[bool]:
        return map_maybe(_unread(info.context, membership), attrgetter("is_capped"))

    @strawberry.field(
        graphql_type=int, description="Unread messages that mention the viewer, in threads too. Exact up to 100."
    )
    def mention_count(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[int]:
        return map_maybe(_unread(info.context, membership), attrgetter("mention_count"))


@strawberry.type(description="What the viewer may do in the room at this moment. The server refuses everything else.")
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
    muted_until: datetime | None = strawberry.field(description="The end of a mute by a moderator.")

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
    async def total_count(self, connection: strawberry.Parent[ConnectionPage]) -> int:
        return await connection.total_count()


@strawberry.type
class Room(Node):
    row: ClassVar = models.Room
    kind: models.RoomKind
    visibility: models.RoomVisibility
    name: str | None = strawberry.field(description="Null for rooms of kind DIRECT.")
    topic: str | None
    description: str | None
    created_at: datetime
    archived_at: datetime | None
    slow_mode_seconds: int
    member_count: int

    @strawberry.field(graphql_type=User | None, metadata=SHARED)
    async def created_by(self, room: strawberry.Parent[models.Room], info: Info) -> account_rows.User | None:
        return await info.context.users.load(room.created_by_id) if room.created_by_id else None

    @strawberry.field(
        graphql_type=list[User], description="The other users of a room of kind DIRECT. Empty for other rooms."
    )
    async def direct_peers(
        self, room: strawberry.Parent[models.Room], info: Info
    ) -> Sequence[account_rows.User | None]:
        if room.kind != models.RoomKind.DIRECT:
            return []
        context = info.context
        user_ids = await context.direct_member_ids.load(room.id) or []
        return await context.users.load_many([id_ for id_ in user_ids if id_ != context.actor.user_id])

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
    ) -> ConnectionPage:
        """The members, longest membership first."""
        page_window = window(first, after, last, before)
        page = await info.context.read(queries.members, room.id, role, page_window)
        return connection_of(page, count=lambda: info.context.read(queries.member_count, room.id, role))

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
    ) -> ConnectionPage:
        """The messages of the room or, with threadRootId, of one thread. Oldest first; the newest page by default."""
        return await history(info.context, room.id, (first, after, last, before), around, thread_root_id)

    @strawberry.field(graphql_type=LazyMessages, metadata=SHARED)
    async def pinned_messages(
        self, room: strawberry.Parent[models.Room], info: Info, first: int | None = None, after: str | None = None
    ) -> ConnectionPage:
        """The pinned messages, the newest pin first."""
        return await pinned(info.context, room.id, first, after)

    @strawberry.field(graphql_type=LazyMessage | None, metadata=SHARED)
    def last_message(self, room: strawberry.Parent[models.Room], info: Info) -> Maybe[message_rows.Message | None]:
        return info.context.last_messages.load_now(room.id)

    @strawberry.field(
        graphql_type=list[User],
        metadata=SHARED | {"items": MAX_VISIBLE_USERS},
        description="Users who are connected to this room now, at most 100.",
    )
    async def active_users(self, room: strawberry.Parent[models.Room], info: Info) -> Sequence[account_rows.User]:
        active = await info.context.active_user_ids.load(room.id) or []
        return [user for user in await info.context.users.load_many(active) if user is not None]

    @strawberry.field(
        graphql_type=RoomMembership | None, description="The viewer's membership. Null if the viewer is not a member."
    )
    def viewer_membership(self, room: strawberry.Parent[models.Room], info: Info) -> Maybe[models.Membership | None]:
        return info.context.memberships.load_now((room.id, info.context.actor.user_id))

    @strawberry.field(graphql_type=RoomPermissions)
    def viewer_permissions(self, room: strawberry.Parent[models.Room], info: Info) -> Maybe[policy.Permissions]:
        actor = info.context.actor
        membership = info.context.memberships.load_now((room.id, actor.user_id))
        return map_maybe(membership, lambda member: policy.permissions(actor, room, member, now()))

    @strawberry.field(
        metadata=SHARED,
        description="The position of this response in the room's event log. Use it as `after` of a subscription to "
        "continue from here.",
    )
    async def stream_cursor(self, room: strawberry.Parent[models.Room], info: Info) -> Cursor:
        head = await info.context.room_heads.load(room.id)
        if head is None:
            raise NotFound("There is no such room.")
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
    async def total_count(self, connection: strawberry.Parent[ConnectionPage]) -> int:
        return await connection.total_count()


def _unread(context: Context, membership: models.Membership) -> Maybe[RoomReadState | None]:
    return context.unread.load_now((membership.room_id, membership.user_id))


class Preview(NamedTuple):
    """The rows behind an InvitePreview."""

    invite: models.Invite
    room: models.Room


@strawberry.type(description="What an invite shows to users who have not joined the room, signed in or not.")
class InvitePreview:
    @strawberry.field
    def code(self, preview: strawberry.Parent[Preview]) -> str:
        return preview.invite.code

    @strawberry.field
    def room_id(self, preview: strawberry.Parent[Preview]) -> strawberry.ID:
        return strawberry.ID(global_id("room", preview.room.id))

    @strawberry.field
    def room_name(self, preview: strawberry.Parent[Preview]) -> str | None:
        return preview.room.name

    @strawberry.field(graphql_type=User | None)
    async def inviter(self, preview: strawberry.Parent[Preview], info: Info) -> account_rows.User | None:
        return await info.context.users.load(preview.invite.created_by_id)

    @strawberry.field
    def expires_at(self, preview: strawberry.Parent[Preview]) -> datetime | None:
        return preview.invite.expires_at

    @strawberry.field
    def uses_left(self, preview: strawberry.Parent[Preview]) -> int | None:
        limit = preview.invite.max_uses
        return None if limit is None else limit - preview.invite.uses
