"""GraphQL types of rooms, members and invites."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Context, Info
from roomcast.api.enums import describe_enum
from roomcast.api.loaders import Maybe, map_maybe
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.connections import (
    After,
    Before,
    ConnectionPage,
    Edge,
    First,
    Last,
    PageInfo,
    connection_of,
    edge_cursor,
    edge_node,
    page_edges,
    page_info_field,
    page_nodes,
)
from roomcast.api.schema.node import ID_DESCRIPTION, MemberNode, MembershipNode, Node
from roomcast.api.schema.rooms.history import history, page_request, pinned
from roomcast.api.schema.scalars import Cursor, Seq
from roomcast.core.clock import now
from roomcast.core.errors import NotFound
from roomcast.core.event_log import RoomHead
from roomcast.core.ids import pair_id
from roomcast.core.paging import window
from roomcast.messages import models as message_rows
from roomcast.presence.policy import MAX_VISIBLE_USERS
from roomcast.receipts.queries import RoomReadState
from roomcast.rooms import invites, models, policy, queries

if TYPE_CHECKING:
    from roomcast.api.schema.messages.types import Message, MessageConnection
    from roomcast.api.schema.rooms.invite_types import RoomInviteConnection

# Messages and invites refer to their room, and rooms to their messages and invites. These are the only references from
# rooms to them. Strawberry resolves them after all modules are imported.
LazyMessage = Annotated["Message", strawberry.lazy("roomcast.api.schema.messages.types")]
LazyMessages = Annotated["MessageConnection", strawberry.lazy("roomcast.api.schema.messages.types")]
LazyRoom = Annotated["Room", strawberry.lazy("roomcast.api.schema.rooms.types")]
LazyInvites = Annotated["RoomInviteConnection", strawberry.lazy("roomcast.api.schema.rooms.invite_types")]

AroundArgument: TypeAlias = Annotated[
    strawberry.ID | None,
    strawberry.argument(
        description="The id of a message to show in the middle of the page. `first` is the page's size."
    ),
]
ThreadRootArgument: TypeAlias = Annotated[
    strawberry.ID | None,
    strawberry.argument(
        description="The id of the message that began a thread: only the replies in this thread. Without it, only "
        "messages outside threads."
    ),
]

describe_enum(
    models.RoomKind,
    "What a room is for.",
    CHANNEL="A room with a name, which users join or are added to.",
    DIRECT="A conversation of two or more users. Its members never change, and it has no name and no owner.",
)
describe_enum(
    models.RoomVisibility,
    "Who can read a room.",
    PUBLIC="Every signed-in user can read and join it.",
    PRIVATE="Only its members can read it. To everybody else it does not exist.",
)
describe_enum(
    models.RoomRole,
    "What a member may do in a room. Each role has the rights of the roles below it.",
    OWNER="Edits, archives and deletes the room, and assigns roles.",
    MODERATOR="Pins and deletes messages, and mutes and removes members with a lower role.",
    MEMBER="Sends messages, reacts and invites.",
    READ_ONLY="Reads.",
)
describe_enum(
    models.NotificationLevel,
    "Which messages of a room notify a member.",
    ALL="All messages.",
    MENTIONS="Only messages that mention the member.",
    NONE="No messages.",
)
describe_enum(
    queries.RoomOrder,
    "The order of a list of rooms.",
    LAST_ACTIVITY_DESC="The room with the newest message outside threads first.",
    NAME_ASC="By name, without regard to case.",
    CREATED_AT_DESC="The newest room first.",
)
describe_enum(
    queries.RoomMembershipFilter,
    "Which rooms a list shows.",
    JOINED="Rooms that the viewer is a member of.",
    DISCOVERABLE="Public rooms that the viewer can join. Archived rooms are left out.",
    ALL="Both.",
)


@strawberry.type(
    description="The viewer's own membership in a room, with their read position, preferences and unread counts. Other "
    "members are shown as `RoomMember`."
)
class RoomMembership(Node):
    row: ClassVar = models.Membership, models.MembershipRecord, MembershipNode
    role: models.RoomRole = strawberry.field(description="The viewer's role in the room.")
    joined_at: datetime = strawberry.field(description="When the viewer joined.")
    last_read_seq: Seq = strawberry.field(description="The viewer has read all messages up to this `seq`.")
    notification_level: models.NotificationLevel = strawberry.field(
        description="Which messages of the room notify the viewer."
    )
    favourite: bool = strawberry.field(description="Whether the viewer has marked the room as a favourite.")
    snoozed_until: datetime | None = strawberry.field(
        description="The viewer's own snooze: the room does not notify them until then."
    )
    muted_until: datetime | None = strawberry.field(
        description="A moderator's mute: the viewer cannot send messages until then. It may be in the past."
    )

    @strawberry.field(metadata=SHARED, description=ID_DESCRIPTION)
    def id(self, membership: strawberry.Parent[models.Membership]) -> strawberry.ID:
        return strawberry.ID(pair_id("membership", membership.room_id, membership.user_id))

    @strawberry.field(graphql_type=LazyRoom, metadata=SHARED, description="The room of this membership.")
    def room(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[models.Room | None]:
        return info.context.rooms.load_now(membership.room_id)

    @strawberry.field(
        graphql_type=int,
        description="Messages of others outside threads that the viewer has not read. Exact up to 100. Larger counts "
        "are capped, see `unreadIsCapped`.",
    )
    def unread_count(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[int]:
        return map_maybe(_unread(info.context, membership), attrgetter("unread_count"))

    @strawberry.field(graphql_type=bool, description="Whether there are more unread messages than `unreadCount` says.")
    def unread_is_capped(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[bool]:
        return map_maybe(_unread(info.context, membership), attrgetter("is_capped"))

    @strawberry.field(
        graphql_type=int, description="Unread messages that mention the viewer, in threads too. Exact up to 100."
    )
    def mention_count(self, membership: strawberry.Parent[models.Membership], info: Info) -> Maybe[int]:
        return map_maybe(_unread(info.context, membership), attrgetter("mention_count"))


@strawberry.type(description="What the viewer may do in the room at this moment. The server refuses everything else.")
class RoomPermissions:
    can_send: bool = strawberry.field(description="Send messages and react.")
    can_invite: bool = strawberry.field(description="Create invites and add users.")
    can_edit_room: bool = strawberry.field(description="Change the name, topic, description, visibility and slow mode.")
    can_manage_members: bool = strawberry.field(description="Mute and remove members with a lower role.")
    can_pin: bool = strawberry.field(description="Pin and unpin messages.")
    can_delete_others_messages: bool = strawberry.field(description="Delete messages of other users.")
    can_archive: bool = strawberry.field(description="Archive the room and reopen it.")
    can_upload: bool = strawberry.field(description="Send messages with attachments.")


@strawberry.type(
    description="A member of a room, as everybody who can read the room sees them. The viewer's own preferences are in "
    "`RoomMembership`."
)
class RoomMember(Node):
    row: ClassVar = models.Membership, models.MembershipRecord, MemberNode
    role: models.RoomRole = strawberry.field(description="The member's role in the room.")
    joined_at: datetime = strawberry.field(description="When the member joined.")
    last_read_seq: Seq = strawberry.field(description="The member has read all messages up to this `seq`.")
    muted_until: datetime | None = strawberry.field(
        description="A moderator's mute: the member cannot send messages until then. It may be in the past."
    )

    @strawberry.field(metadata=SHARED, description=ID_DESCRIPTION)
    def id(self, member: strawberry.Parent[models.Membership]) -> strawberry.ID:
        return strawberry.ID(pair_id("member", member.room_id, member.user_id))

    @strawberry.field(graphql_type=LazyRoom, metadata=SHARED, description="The room that the user is a member of.")
    def room(self, member: strawberry.Parent[models.Membership], info: Info) -> Maybe[models.Room | None]:
        return info.context.rooms.load_now(member.room_id)

    @strawberry.field(graphql_type=User, metadata=SHARED, description="The user who is a member.")
    async def user(self, member: strawberry.Parent[models.Membership], info: Info) -> account_rows.User | None:
        return await info.context.users.load(member.user_id)


@strawberry.type(description="A member in a list.")
class RoomMemberEdge:
    cursor: str = edge_cursor()
    node: models.Membership = edge_node(RoomMember)


@strawberry.type(description="A page of the members of a room.")
class RoomMemberConnection:
    edges: list[Edge] = page_edges(RoomMemberEdge)
    nodes: list[models.Membership] = page_nodes(RoomMember)
    page_info: PageInfo = page_info_field()

    @strawberry.field(metadata=SHARED, description="How many members the whole list has.")
    async def total_count(self, connection: strawberry.Parent[ConnectionPage]) -> int:
        return await connection.total_count()


@strawberry.type(description="A place where users exchange messages: a channel or a direct conversation.")
class Room(Node):
    row: ClassVar = models.Room, models.RoomRecord
    kind: models.RoomKind = strawberry.field(description="Whether it is a channel or a direct conversation.")
    visibility: models.RoomVisibility = strawberry.field(description="Who can read the room.")
    name: str | None = strawberry.field(
        description="Null for rooms of kind DIRECT. Unique among public rooms, without regard to case and look-alikes."
    )
    topic: str | None = strawberry.field(description="One line on what is discussed now.")
    description: str | None = strawberry.field(description="What the room is for.")
    created_at: datetime = strawberry.field(description="When the room was created.")
    archived_at: datetime | None = strawberry.field(
        description="Since when the room is archived: it can be read, and nobody can send."
    )
    slow_mode_seconds: int = strawberry.field(
        description="The least number of seconds between two messages of one member. 0 if slow mode is off."
    )
    member_count: int = strawberry.field(description="How many members the room has.")

    @strawberry.field(
        graphql_type=User | None, metadata=SHARED, description="The user who created the room, if they still exist."
    )
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

    @strawberry.field(
        graphql_type=RoomMemberConnection, metadata=SHARED, description="The members, the longest membership first."
    )
    async def members(
        self,
        room: strawberry.Parent[models.Room],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        role: Annotated[models.RoomRole | None, strawberry.argument(description="Only members with this role.")] = None,
    ) -> ConnectionPage:
        page_window = window(first, after, last, before)
        page = await info.context.read_direct(queries.members_read(room.id, role, page_window))
        return connection_of(page, count=lambda: info.context.read(queries.member_count, room.id, role))

    @strawberry.field(
        graphql_type=LazyMessages,
        metadata=SHARED,
        description="The messages of the room or, with `threadRootId`, of one thread: oldest first, and the newest "
        "page by default.",
    )
    async def messages(
        self,
        room: strawberry.Parent[models.Room],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        around: AroundArgument = None,
        thread_root_id: ThreadRootArgument = None,
    ) -> ConnectionPage:
        return await history(info.context, room.id, page_request((first, after, last, before), around, thread_root_id))

    @strawberry.field(
        graphql_type=LazyMessages, metadata=SHARED, description="The pinned messages, the newest pin first."
    )
    async def pinned_messages(
        self, room: strawberry.Parent[models.Room], info: Info, first: First = None, after: After = None
    ) -> ConnectionPage:
        return await pinned(info.context, room.id, first, after)

    @strawberry.field(
        graphql_type=LazyInvites | None,
        description="All invites to the room, the newest first, also those that are not valid any more. Null if the "
        "viewer is not a moderator or an owner of the room.",
    )
    async def invites(
        self, room: strawberry.Parent[models.Room], info: Info, first: First = None, after: After = None
    ) -> ConnectionPage | None:
        context, page_window = info.context, window(first, after)
        membership = await context.memberships.load((room.id, context.actor.user_id))
        if not policy.may_list_invites(context.actor, room, membership):
            return None
        return connection_of(await context.read(invites.invites_of_room, room.id, page_window))

    @strawberry.field(
        graphql_type=LazyMessage | None, metadata=SHARED, description="The newest message outside threads."
    )
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

    @strawberry.field(
        metadata=SHARED,
        description="When a user last sent a message outside threads. The time of creation if nobody has yet.",
    )
    async def last_activity_at(self, room: strawberry.Parent[models.Room], info: Info) -> datetime:
        return (await _head(info.context, room)).last_activity_at

    @strawberry.field(
        graphql_type=RoomPermissions, description="What the viewer may do in the room. Use it to show or hide controls."
    )
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
        return Cursor(info.context.cursor(room.id, (await _head(info.context, room)).last_seq))


@strawberry.type(description="A room in a list.")
class RoomEdge:
    cursor: str = edge_cursor()
    node: models.Room = edge_node(Room)


@strawberry.type(description="A page of rooms.")
class RoomConnection:
    edges: list[Edge] = page_edges(RoomEdge)
    nodes: list[models.Room] = page_nodes(Room)
    page_info: PageInfo = page_info_field()

    @strawberry.field(description="How many rooms the whole list has.")
    async def total_count(self, connection: strawberry.Parent[ConnectionPage]) -> int:
        return await connection.total_count()


async def _head(context: Context, room: models.Room) -> RoomHead:
    """The head of the room's event log. Raises NotFound if the room was deleted meanwhile."""
    head = await context.room_heads.load(room.id)
    if head is None:
        raise NotFound("There is no such room.")
    return head


def _unread(context: Context, membership: models.Membership) -> Maybe[RoomReadState | None]:
    return context.unread.load_now((membership.room_id, membership.user_id))
