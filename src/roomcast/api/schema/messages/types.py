"""GraphQL types of messages, reactions, threads, revisions and search results."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeAlias, cast

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Context, Info
from roomcast.api.enums import describe_enum
from roomcast.api.loaders import AWAITABLE_TYPES, Mapped, Maybe, Together, map_maybe
from roomcast.api.schema.accounts.types import User, UserConnection
from roomcast.api.schema.connections import (
    After,
    ConnectionPage,
    Edge,
    First,
    PageInfo,
    connection_of,
    edge_cursor,
    edge_node,
    page_edges,
    page_info_field,
    page_nodes,
)
from roomcast.api.schema.node import Node
from roomcast.api.schema.rooms.types import Room
from roomcast.api.schema.scalars import Cursor, Seq
from roomcast.api.schema.uploads.types import Attachment
from roomcast.core.clock import now
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id
from roomcast.core.paging import window
from roomcast.messages import models, policy, queries, reactions, search, system_events, threads
from roomcast.messages.markdown import render_html_async
from roomcast.receipts import queries as receipts
from roomcast.rooms import models as room_rows
from roomcast.uploads.models import File


@strawberry.type(description="All reactions to a message with the same emoji.")
class ReactionGroup:
    emoji: str = strawberry.field(description="The emoji.")
    count: int = strawberry.field(description="How many users have added it.")

    @strawberry.field(graphql_type=bool, description="Whether the viewer is one of them.")
    def viewer_has_reacted(self, group: strawberry.Parent[reactions.ReactionGroup], info: Info) -> Maybe[bool]:
        own_emoji = info.context.own_emoji.load_now((group.message_id, info.context.actor.user_id))
        return map_maybe(own_emoji, lambda reacted: group.emoji in (reacted or ()))

    @strawberry.field(
        graphql_type=UserConnection,
        metadata=SHARED,
        description="The users who added it, in the order in which they did.",
    )
    async def users(
        self,
        group: strawberry.Parent[reactions.ReactionGroup],
        info: Info,
        first: First = None,
        after: After = None,
    ) -> ConnectionPage:
        read = info.context.read
        page = await read(reactions.reacting_users, group, window(first, after))
        return connection_of(page, count=lambda: read(reactions.reaction_count, group.message_id, group.emoji))


describe_enum(
    models.MessageKind,
    "Who wrote a message.",
    USER="A user.",
    SYSTEM="The server, when members join or leave, or the room is renamed.",
)


describe_enum(
    system_events.SystemEventKind,
    "What happened in a room. More kinds may come: show `body` for a kind that the client does not know.",
    MEMBERS_JOINED="A user joined the room by themselves or by an invite.",
    MEMBERS_ADDED="A member added users to the room.",
    MEMBER_LEFT="A member left the room.",
    MEMBER_REMOVED="A member was removed from the room by somebody else.",
    ROOM_RENAMED="The room got another name.",
)


@strawberry.type(description="What a system message reports.")
class SystemEvent:
    kind: system_events.SystemEventKind = strawberry.field(description="What happened.")
    previous_name: str | None = strawberry.field(description="For ROOM_RENAMED: the name before.")
    name: str | None = strawberry.field(description="For ROOM_RENAMED: the new name.")

    @strawberry.field(
        graphql_type=User | None, metadata=SHARED, description="Who caused it. Null if the account was deleted."
    )
    def actor(self, event: strawberry.Parent[system_events.SystemEvent], info: Info) -> Maybe[account_rows.User | None]:
        return info.context.users.load_now(event.actor_id)

    @strawberry.field(
        graphql_type=list[User],
        metadata=SHARED,
        description="The users to whom it happened, without those whose accounts were deleted. For MEMBERS_JOINED and "
        "MEMBER_LEFT this is the actor.",
    )
    async def users(self, event: strawberry.Parent[system_events.SystemEvent], info: Info) -> list[account_rows.User]:
        return [user for user in await info.context.users.load_many(event.user_ids) if user is not None]


ReactionGroups: TypeAlias = list[reactions.ReactionGroup]
LazyMessage = Annotated["Message", strawberry.lazy("roomcast.api.schema.messages.types")]


@strawberry.type(description="The replies to one message. Deleted replies keep their place and are counted.")
class Thread(Node):
    row: ClassVar = threads.Thread

    @strawberry.field(graphql_type=LazyMessage, metadata=SHARED, description="The message that the replies belong to.")
    def root(self, thread: strawberry.Parent[threads.Thread], info: Info) -> Maybe[models.Message | None]:
        return info.context.messages.load_now(thread.id)

    reply_count: int = strawberry.field(description="How many replies the thread has. Deleted ones are counted, too.")

    @strawberry.field(graphql_type=LazyMessage | None, metadata=SHARED, description="Null if there are no replies.")
    def last_reply(self, thread: strawberry.Parent[threads.Thread], info: Info) -> Maybe[models.Message | None]:
        if thread.last_reply_seq is None:
            return None
        return info.context.messages_at.load_now((thread.room_id, thread.last_reply_seq))

    @strawberry.field(
        graphql_type=list[User],
        metadata=SHARED,
        description="The users who replied, the one with the newest reply first, at most 5.",
    )
    async def participants(
        self, thread: strawberry.Parent[threads.Thread], info: Info
    ) -> Sequence[account_rows.User | None]:
        user_ids = await info.context.thread_participant_ids.load(thread.id) or []
        return await info.context.users.load_many(user_ids)

    @strawberry.field(
        graphql_type=bool,
        description="Users who reply, are mentioned in a thread or wrote its first message follow it until they decide "
        "otherwise with `setThreadFollowing`. Only members of the room follow its threads.",
    )
    def viewer_is_following(self, thread: strawberry.Parent[threads.Thread], info: Info) -> Maybe[bool]:
        state = info.context.thread_states.load_now((thread.id, info.context.actor.user_id))
        return map_maybe(state, lambda found: found is not None and found.is_following)

    @strawberry.field(
        graphql_type=int,
        description="Replies of others that the viewer has not read, without deleted ones. 0 unless the viewer follows "
        "the thread. Exact up to 100.",
    )
    def viewer_unread_count(self, thread: strawberry.Parent[threads.Thread], info: Info) -> Maybe[int]:
        state = info.context.thread_states.load_now((thread.id, info.context.actor.user_id))
        return map_maybe(state, lambda found: found.unread_count if found is not None else 0)


@strawberry.type(description="What a message said at one time.")
class MessageRevision:
    revision: int = strawberry.field(description="1 for the message as it was sent. Each edit adds one.")
    body: str = strawberry.field(description="The body, as Markdown.")
    edited_at: datetime = strawberry.field(description="When this body was written.")

    @strawberry.field(graphql_type=User | None, metadata=SHARED, description="The user who wrote this body.")
    async def edited_by(self, revision: strawberry.Parent[queries.Revision], info: Info) -> account_rows.User | None:
        return await info.context.users.load(revision.edited_by_id) if revision.edited_by_id else None


@strawberry.type(description="A revision in a list.")
class MessageRevisionEdge:
    cursor: str = edge_cursor()
    node: queries.Revision = edge_node(MessageRevision)


@strawberry.type(description="A page of the revisions of a message.")
class MessageRevisionConnection:
    edges: list[Edge] = page_edges(MessageRevisionEdge)
    nodes: list[queries.Revision] = page_nodes(MessageRevision)
    page_info: PageInfo = page_info_field()


@strawberry.type(
    description="A message in a room. A deleted message keeps its id, `seq`, author and times. Its body, files, "
    "reactions, mentions and pin are erased."
)
class Message(Node):
    row: ClassVar = models.Message, models.MessageRecord, models.MessageWithDigest
    seq: Seq = strawberry.field(
        description="The position of the message in its room. Later messages have a higher one."
    )
    kind: models.MessageKind = strawberry.field(description="Whether a user or the server wrote it.")
    body: str | None = strawberry.field(description="Markdown. Null if the message is deleted.")
    created_at: datetime = strawberry.field(description="When the message was sent.")
    edited_at: datetime | None = strawberry.field(description="When it was last edited. Null if it never was.")
    revision: int = strawberry.field(description="1 for a new message. Each edit adds one.")
    deleted_at: datetime | None = strawberry.field(description="When it was deleted. Null if it is not.")
    pinned_at: datetime | None = strawberry.field(description="When it was pinned. Null if it is not.")
    mentions_room: bool = strawberry.field(description="Whether the message mentions all members by `@room`.")

    @strawberry.field(metadata=SHARED, description="The body as safe HTML. Null if the message is deleted.")
    async def body_html(self, message: strawberry.Parent[models.Message], info: Info) -> str | None:
        if message.body is None:
            return None
        viewer = info.context.viewer
        # One long text is rendered at a time for each pair of viewer and author, see `core.offload`.
        return await render_html_async(message.body, (viewer and viewer.user_id, message.author_id))

    @strawberry.field(graphql_type=Room, metadata=SHARED, description="The room of the message.")
    def room(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[room_rows.Room | None]:
        return info.context.rooms.load_now(message.room_id)

    @strawberry.field(graphql_type=User | None, metadata=SHARED, description="Null for SYSTEM messages.")
    def author(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[account_rows.User | None]:
        return info.context.users.load_now(message.author_id) if message.author_id else None

    @strawberry.field(
        graphql_type=LazyMessage | None,
        metadata=SHARED,
        description="The message that this one answers, in the same room. It may be deleted.",
    )
    def reply_to(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[models.Message | None]:
        return info.context.messages.load_now(message.reply_to_id) if message.reply_to_id else None

    @strawberry.field(
        metadata=SHARED,
        description="The id of the message that began the thread of this reply. Null outside threads.",
    )
    def thread_root_id(self, message: strawberry.Parent[models.Message]) -> strawberry.ID | None:
        return strawberry.ID(global_id("msg", message.thread_root_id)) if message.thread_root_id else None

    @strawberry.field(
        graphql_type=LazyMessage | None,
        metadata=SHARED,
        description="The message whose thread this reply is in. Its `thread` already includes this reply.",
    )
    def thread_root(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[models.Message | None]:
        return info.context.messages.load_now(message.thread_root_id) if message.thread_root_id else None

    @strawberry.field(graphql_type=Thread | None, metadata=SHARED, description="Null if the message has no replies.")
    def thread(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[threads.Thread | None]:
        return info.context.threads.load_now(message.id)

    @strawberry.field(
        graphql_type=UserConnection,
        metadata=SHARED,
        description="Users who have read up to this message, without its author.",
    )
    async def read_by(
        self, message: strawberry.Parent[models.Message], info: Info, first: First = None, after: After = None
    ) -> ConnectionPage:
        read = info.context.read
        page = await read(receipts.readers, message, window(first, after))
        return connection_of(page, count=lambda: read(receipts.reader_count, message))

    @strawberry.field(
        graphql_type=MessageRevisionConnection,
        metadata=SHARED,
        description="All bodies of the message, the oldest first, including the current one. Empty if the message is "
        "deleted.",
    )
    async def revisions(
        self, message: strawberry.Parent[models.Message], info: Info, first: First = None, after: After = None
    ) -> ConnectionPage:
        page = await info.context.read(queries.revisions, message, window(first, after))
        return connection_of(page, lambda number, body, at: queries.Revision(number, body, at, message.author_id))

    @strawberry.field(
        graphql_type=list[ReactionGroup],
        metadata=SHARED,
        description="The reactions, grouped by emoji. The emoji that was used first comes first.",
    )
    def reactions(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[ReactionGroups]:
        return map_maybe(info.context.reactions.load_now(message.id), lambda rows: rows or [])

    @strawberry.field(graphql_type=list[User], metadata=SHARED, description="The members whom the message mentions.")
    async def mentions(self, message: strawberry.Parent[models.Message], info: Info) -> list[account_rows.User]:
        user_ids = await info.context.mentioned_user_ids.load(message.id) or []
        return [user for user in await info.context.users.load_many(user_ids) if user is not None]

    @strawberry.field(
        graphql_type=list[Attachment], metadata=SHARED, description="The attached files, in the order of the sender."
    )
    def attachments(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[list[File]]:
        if not message.has_attachments:
            return []
        return map_maybe(info.context.attachments.load_now(message.id), lambda rows: rows or [])

    @strawberry.field(
        graphql_type=SystemEvent | None,
        metadata=SHARED,
        description="What a SYSTEM message reports: clients word it in their own language; `body` says it in English. "
        "Null for USER messages, for deleted messages, and for system messages that an older server wrote.",
    )
    def system_event(self, message: strawberry.Parent[models.Message]) -> system_events.SystemEvent | None:
        return system_events.SystemEvent.decode(message.system_event) if message.system_event else None

    @strawberry.field(graphql_type=bool, description="Whether the viewer may edit the message now.")
    def viewer_can_edit(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[bool]:
        actor, found = info.context.actor, _room_and_membership(info.context, message)
        return map_maybe(found, lambda found: policy.may_edit(actor, message, *found, now()))

    @strawberry.field(graphql_type=bool, description="Whether the viewer may delete the message now.")
    def viewer_can_delete(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[bool]:
        actor, found = info.context.actor, _room_and_membership(info.context, message)
        return map_maybe(found, lambda found: policy.may_delete(actor, message, *found))


@strawberry.type(description="A message in a list.")
class MessageEdge:
    cursor: str = edge_cursor()
    node: models.Message = edge_node(Message)


def message_edge(message: models.Message) -> Edge:
    """The edge of the message in the history of its room."""
    return Edge(queries.history_cursor(message), message)


@strawberry.type(description="A page of messages.")
class MessageConnection:
    edges: list[Edge] = page_edges(MessageEdge)
    nodes: list[models.Message] = page_nodes(Message)
    page_info: PageInfo = page_info_field()
    stream_cursor: Cursor = strawberry.field(
        description="The position of this page in the room's event log. Subscribe with `after: streamCursor` to "
        "continue without missing or repeating events."
    )


RoomAndMembership: TypeAlias = tuple[room_rows.Room, room_rows.Membership | None]


def _room_and_membership(context: Context, message: models.Message) -> Maybe[RoomAndMembership]:
    """The room of the message and the viewer's membership in it. Raises NotFound."""
    room: Any = context.rooms.load_now(message.room_id)
    membership: Any = context.memberships.load_now((message.room_id, context.actor.user_id))
    if loading := [each for each in (room, membership) if isinstance(each, AWAITABLE_TYPES)]:
        return Mapped(Together(loading), lambda _: cast("Any", _room_and_membership(context, message)))
    if room is None:
        raise NotFound("There is no such room.")
    return room, membership


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A row of a page of search results."""

    cursor: str
    node: models.Message
    words: Sequence[str]


@strawberry.type(description="A message that a search has found.")
class MessageSearchEdge:
    cursor: str = edge_cursor()
    node: models.Message = edge_node(Message)

    @strawberry.field(description="An excerpt of the body as escaped HTML, with the matches in <mark> elements.")
    async def snippet_html(self, hit: strawberry.Parent[SearchHit], info: Info) -> str:
        return await search.snippet_async(info.context.actor.user_id, hit.node.body or "", hit.words)


@strawberry.type(description="A page of the results of a search.")
class MessageSearchConnection:
    edges: list[SearchHit] = page_edges(MessageSearchEdge)
    nodes: list[models.Message] = page_nodes(Message)
    page_info: PageInfo = page_info_field()
