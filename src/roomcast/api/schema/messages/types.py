"""GraphQL types of messages, reactions, threads, revisions and search results."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Context, Info
from roomcast.api.loaders import Maybe, map_maybe
from roomcast.api.schema.accounts.types import User, UserConnection
from roomcast.api.schema.connections import ConnectionPage, Edge, PageInfo, connection_of
from roomcast.api.schema.node import Node
from roomcast.api.schema.rooms.types import Room
from roomcast.api.schema.scalars import Cursor, Seq
from roomcast.api.schema.uploads.types import Attachment
from roomcast.core.clock import now
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id
from roomcast.core.paging import window
from roomcast.messages import models, policy, queries, reactions, search, threads
from roomcast.messages.markdown import render_html_async
from roomcast.receipts import queries as receipts
from roomcast.rooms import models as room_rows
from roomcast.uploads.models import File


@strawberry.type(description="All reactions to a message with the same emoji.")
class ReactionGroup:
    emoji: str
    count: int

    @strawberry.field(graphql_type=bool)
    def viewer_has_reacted(self, group: strawberry.Parent[reactions.ReactionGroup], info: Info) -> Maybe[bool]:
        own_emoji = info.context.own_emoji.load_now((group.message_id, info.context.actor.user_id))
        return map_maybe(own_emoji, lambda reacted: group.emoji in (reacted or ()))

    @strawberry.field(graphql_type=UserConnection, metadata=SHARED)
    async def users(
        self,
        group: strawberry.Parent[reactions.ReactionGroup],
        info: Info,
        first: int | None = None,
        after: str | None = None,
    ) -> ConnectionPage:
        """The users who reacted, in order of their reactions."""
        read = info.context.read
        page = await read(reactions.reacting_users, group, window(first, after))
        return connection_of(page, count=lambda: read(reactions.reaction_count, group.message_id, group.emoji))


strawberry.enum(
    models.MessageKind,
    description="SYSTEM messages are written by the server when members join or leave, or the room is renamed.",
)


LazyMessage = Annotated["Message", strawberry.lazy("roomcast.api.schema.messages.types")]


@strawberry.type(description="The replies to one message. Deleted replies keep their place and are counted.")
class Thread(Node):
    row: ClassVar = threads.Thread

    @strawberry.field(graphql_type=LazyMessage, metadata=SHARED, description="The message that the replies belong to.")
    def root(self, thread: strawberry.Parent[threads.Thread], info: Info) -> Maybe[models.Message | None]:
        return info.context.messages.load_now(thread.id)

    reply_count: int

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


@strawberry.type
class MessageRevision:
    revision: int
    body: str
    edited_at: datetime

    @strawberry.field(graphql_type=User | None, metadata=SHARED)
    async def edited_by(self, revision: strawberry.Parent[queries.Revision], info: Info) -> account_rows.User | None:
        return await info.context.users.load(revision.edited_by_id) if revision.edited_by_id else None


@strawberry.type
class MessageRevisionEdge:
    cursor: str
    node: queries.Revision = strawberry.field(graphql_type=MessageRevision)


@strawberry.type
class MessageRevisionConnection:
    edges: list[Edge] = strawberry.field(graphql_type=list[MessageRevisionEdge])
    nodes: list[queries.Revision] = strawberry.field(graphql_type=list[MessageRevision])
    page_info: PageInfo


@strawberry.type
class Message(Node):
    row: ClassVar = models.Message
    seq: Seq
    kind: models.MessageKind
    body: str | None = strawberry.field(description="Markdown. Null if the message is deleted.")
    created_at: datetime
    edited_at: datetime | None
    revision: int
    deleted_at: datetime | None
    pinned_at: datetime | None
    mentions_room: bool = strawberry.field(description="Whether the message mentions all members by `@room`.")

    @strawberry.field(metadata=SHARED, description="The body as safe HTML. Null if the message is deleted.")
    async def body_html(self, message: strawberry.Parent[models.Message], info: Info) -> str | None:
        if message.body is None:
            return None
        viewer = info.context.viewer
        # One long text is rendered at a time for each pair of viewer and author, see `core.offload`.
        return await render_html_async(message.body, (viewer and viewer.user_id, message.author_id))

    @strawberry.field(graphql_type=Room, metadata=SHARED)
    def room(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[room_rows.Room | None]:
        return info.context.rooms.load_now(message.room_id)

    @strawberry.field(graphql_type=User | None, metadata=SHARED, description="Null for SYSTEM messages.")
    def author(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[account_rows.User | None]:
        return info.context.users.load_now(message.author_id) if message.author_id else None

    @strawberry.field(graphql_type=LazyMessage | None, metadata=SHARED)
    def reply_to(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[models.Message | None]:
        return info.context.messages.load_now(message.reply_to_id) if message.reply_to_id else None

    @strawberry.field(metadata=SHARED)
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
        self, message: strawberry.Parent[models.Message], info: Info, first: int | None = None, after: str | None = None
    ) -> ConnectionPage:
        read = info.context.read
        page = await read(receipts.readers, message, window(first, after))
        return connection_of(page, count=lambda: read(receipts.reader_count, message))

    @strawberry.field(graphql_type=MessageRevisionConnection, metadata=SHARED)
    async def revisions(
        self, message: strawberry.Parent[models.Message], info: Info, first: int | None = None, after: str | None = None
    ) -> ConnectionPage:
        """All bodies of the message, oldest first, including the current one. Empty if the message is deleted."""
        page = await info.context.read(queries.revisions, message, window(first, after))
        return connection_of(page, lambda number, body, at: queries.Revision(number, body, at, message.author_id))

    @strawberry.field(graphql_type=list[ReactionGroup], metadata=SHARED)
    def reactions(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[list[reactions.ReactionGroup]]:
        return map_maybe(info.context.reactions.load_now(message.id), lambda rows: rows or [])

    @strawberry.field(graphql_type=list[User], metadata=SHARED)
    async def mentions(self, message: strawberry.Parent[models.Message], info: Info) -> list[account_rows.User]:
        """The members whom the message mentions."""
        user_ids = await info.context.mentioned_user_ids.load(message.id) or []
        return [user for user in await info.context.users.load_many(user_ids) if user is not None]

    @strawberry.field(graphql_type=list[Attachment], metadata=SHARED)
    def attachments(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[list[File]]:
        if not message.has_attachments:
            return []
        return map_maybe(info.context.attachments.load_now(message.id), lambda rows: rows or [])

    @strawberry.field
    async def viewer_can_edit(self, message: strawberry.Parent[models.Message], info: Info) -> bool:
        return policy.may_edit(info.context.actor, message, *await _room_and_membership(info.context, message), now())

    @strawberry.field
    async def viewer_can_delete(self, message: strawberry.Parent[models.Message], info: Info) -> bool:
        return policy.may_delete(info.context.actor, message, *await _room_and_membership(info.context, message))


@strawberry.type
class MessageEdge:
    cursor: str
    node: models.Message = strawberry.field(graphql_type=Message)


@strawberry.type
class MessageConnection:
    edges: list[Edge] = strawberry.field(graphql_type=list[MessageEdge])
    nodes: list[models.Message] = strawberry.field(graphql_type=list[Message])
    page_info: PageInfo
    stream_cursor: Cursor = strawberry.field(
        description="The position of this page in the room's event log. Subscribe with `after: streamCursor` to "
        "continue without missing or repeating events."
    )


async def _room_and_membership(
    context: Context, message: models.Message
) -> tuple[room_rows.Room, room_rows.Membership | None]:
    """The room of the message and the viewer's membership in it."""
    room = await context.rooms.load(message.room_id)
    if room is None:
        raise NotFound("There is no such room.")
    return room, await context.memberships.load((room.id, context.actor.user_id))


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A row of a page of search results."""

    cursor: str
    node: models.Message
    words: Sequence[str]


@strawberry.type
class MessageSearchEdge:
    cursor: str
    node: models.Message = strawberry.field(graphql_type=Message)

    @strawberry.field(description="An excerpt of the body as escaped HTML, with the matches in <mark> elements.")
    async def snippet_html(self, hit: strawberry.Parent[SearchHit], info: Info) -> str:
        return await search.snippet_async(info.context.actor.user_id, hit.node.body or "", hit.words)


@strawberry.type
class MessageSearchConnection:
    edges: list[SearchHit] = strawberry.field(graphql_type=list[MessageSearchEdge])
    nodes: list[models.Message] = strawberry.field(graphql_type=list[Message])
    page_info: PageInfo
