"""The door of messages: sending, changing what was sent, history."""

from collections.abc import Hashable
from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import SHARED, Context, Info, Maybe, map_maybe
from roomcast.api.errors import MutationPayload, refusable
from roomcast.api.schema.accounts.accounts import User, UserConnection
from roomcast.api.schema.connections import Connected, Edge, PageInfo, connected
from roomcast.api.schema.messages.history import history
from roomcast.api.schema.messages.reactions import ReactionGroup
from roomcast.api.schema.node import Node
from roomcast.api.schema.rooms.rooms import Room
from roomcast.api.schema.scalars import Cursor, Seq
from roomcast.api.schema.uploads.uploads import Attachment
from roomcast.core.clock import now
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id, local_id
from roomcast.core.paging import window
from roomcast.messages import editing, models, pins, policy, queries, reactions, threads
from roomcast.messages.actions import NewMessage
from roomcast.messages.editing import MessageChange
from roomcast.messages.markdown import rendered
from roomcast.messages.preparing import prepare
from roomcast.receipts import queries as receipts
from roomcast.rooms import models as room_rows
from roomcast.rooms import queries as rooms
from roomcast.uploads.models import File

strawberry.enum(
    models.MessageKind, description="SYSTEM: what the room itself says of who came, who went and what it is called now."
)

LazyMessage = Annotated["Message", strawberry.lazy("roomcast.api.schema.messages.messages")]


@strawberry.type(description="Deleted replies keep their place in a thread and are counted.")
class ThreadSummary:
    reply_count: int

    @strawberry.field(graphql_type=LazyMessage | None, metadata=SHARED)
    async def last_reply(self, thread: strawberry.Parent[threads.Summary], info: Info) -> models.Message | None:
        return await info.context.messages_at.load((thread.room_id, thread.last_reply_seq))


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
    body: str | None = strawberry.field(description="Markdown. Null once deleted.")
    created_at: datetime
    edited_at: datetime | None
    revision: int
    deleted_at: datetime | None
    pinned_at: datetime | None
    mentions_room: bool = strawberry.field(description="Whether it calls everybody in the room, by `@room`.")

    @strawberry.field(metadata=SHARED, description="Safe HTML rendered from the body. Null once deleted.")
    async def body_html(self, message: strawberry.Parent[models.Message], info: Info) -> str | None:
        return None if message.body is None else await rendered(message.body, _owner(info.context, message))

    @strawberry.field(graphql_type=Room, metadata=SHARED)
    def room(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[room_rows.Room | None]:
        return info.context.rooms.now(message.room_id)

    @strawberry.field(graphql_type=User | None, metadata=SHARED, description="Null for system messages.")
    def author(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[account_rows.User | None]:
        return info.context.users.now(message.author_id) if message.author_id else None

    @strawberry.field(graphql_type=LazyMessage | None, metadata=SHARED)
    def reply_to(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[models.Message | None]:
        return info.context.messages.now(message.reply_to_id) if message.reply_to_id else None

    @strawberry.field(metadata=SHARED)
    def thread_root_id(self, message: strawberry.Parent[models.Message]) -> strawberry.ID | None:
        return strawberry.ID(global_id("msg", message.thread_root_id)) if message.thread_root_id else None

    @strawberry.field(
        graphql_type=LazyMessage | None,
        metadata=SHARED,
        description="The message whose thread this is in. With a new reply, its `thread` is the summary as it is now.",
    )
    def thread_root(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[models.Message | None]:
        return info.context.messages.now(message.thread_root_id) if message.thread_root_id else None

    @strawberry.field(graphql_type=ThreadSummary | None, metadata=SHARED)
    def thread(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[threads.Summary | None]:
        """Null where nobody has replied in a thread."""
        return info.context.threads.now(message.id)

    @strawberry.field(
        graphql_type=UserConnection,
        metadata=SHARED,
        description="The people besides its author who have read this far.",
    )
    async def read_by(
        self, message: strawberry.Parent[models.Message], info: Info, first: int | None = None, after: str | None = None
    ) -> Connected:
        async with info.context.snapshot.session() as session:
            page = await receipts.readers(session, message, window(first, after))
        return connected(page, count=lambda: _reader_count(info.context, message))

    @strawberry.field(graphql_type=MessageRevisionConnection, metadata=SHARED)
    async def revisions(
        self, message: strawberry.Parent[models.Message], info: Info, first: int | None = None, after: str | None = None
    ) -> Connected:
        """Everything it has said, its present words included, oldest first. Empty once deleted."""
        async with info.context.snapshot.session() as session:
            page = await queries.revisions(session, message, window(first, after))
        return connected(page, lambda number, body, at: queries.Revision(number, body, at, message.author_id))

    @strawberry.field(graphql_type=list[ReactionGroup], metadata=SHARED)
    def reactions(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[list[reactions.Group]]:
        return map_maybe(info.context.reactions.now(message.id), lambda found: found or [])

    @strawberry.field(graphql_type=list[User], metadata=SHARED)
    async def mentions(self, message: strawberry.Parent[models.Message], info: Info) -> list[account_rows.User]:
        """The members of the room that it names."""
        people = await info.context.mentioned.load(message.id) or []
        return [user for user in await info.context.users.load_many(people) if user is not None]

    @strawberry.field(graphql_type=list[Attachment], metadata=SHARED)
    def attachments(self, message: strawberry.Parent[models.Message], info: Info) -> Maybe[list[File]]:
        if not message.has_attachments:
            return []
        return map_maybe(info.context.attachments.now(message.id), lambda found: found or [])

    @strawberry.field
    async def viewer_can_edit(self, message: strawberry.Parent[models.Message], info: Info) -> bool:
        return policy.may_edit(info.context.actor, message, *await _standing(info.context, message), now())

    @strawberry.field
    async def viewer_can_delete(self, message: strawberry.Parent[models.Message], info: Info) -> bool:
        return policy.may_delete(info.context.actor, message, *await _standing(info.context, message))


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
        description="From the same snapshot as the page: subscribe with `after: streamCursor` and nothing is missed "
        "or repeated."
    )


@strawberry.type
class SendMessagePayload(MutationPayload):
    message: models.Message | None = strawberry.field(graphql_type=Message | None, default=None)
    cursor: Cursor | None = None
    replayed: bool = strawberry.field(
        default=False,
        description="True when this clientMessageId had been used before and `message` is the original.",
    )


@strawberry.input
class SendMessageInput:
    room_id: strawberry.ID
    body: str
    client_message_id: UUID | None = strawberry.field(
        default=None,
        description="Idempotency key and optimistic id. Same key and content: the original message again. Same key, "
        "other content: IDEMPOTENCY_KEY_REUSED. It never expires.",
    )
    reply_to_id: strawberry.ID | None = None
    thread_root_id: strawberry.ID | None = strawberry.field(
        default=None, description="The message whose thread this is said in. Threads are not nested."
    )
    attachment_ids: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="Finished uploads of the sender's, at most 10, each used once. With them the body may be empty.",
    )


@strawberry.input
class EditMessageInput:
    message_id: strawberry.ID
    body: str
    expected_revision: int | None = strawberry.field(
        default=None, description="CONFLICT when the stored revision differs."
    )


@strawberry.input
class DeleteMessageInput:
    message_id: strawberry.ID
    reason: str | None = None


@strawberry.input
class ReactionInput:
    message_id: strawberry.ID
    emoji: str


@strawberry.input
class MessageIdInput:
    message_id: strawberry.ID


@strawberry.type
class MessagePayload(MutationPayload):
    message: models.Message | None = strawberry.field(graphql_type=Message | None, default=None)
    cursor: Cursor | None = strawberry.field(
        default=None, description="The position of the event that this change caused; null when nothing changed."
    )


@strawberry.type
class Query:
    @strawberry.field(graphql_type=Message | None)
    async def message(self, info: Info, id: strawberry.ID) -> models.Message | None:  # noqa: A002
        return await message_or_none(info.context, local_id("msg", id))

    @strawberry.field(
        graphql_type=MessageConnection,
        description="A room's history, oldest first. The newest page is `last: 50`; older pages add `before`.",
    )
    async def messages(
        self,
        info: Info,
        room_id: strawberry.ID,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        around: strawberry.ID | None = None,
        thread_root_id: strawberry.ID | None = None,
    ) -> Connected:
        async with info.context.snapshot.session() as session:
            view = await rooms.readable_room(session, info.context.actor, local_id("room", room_id))
        return await history(info.context, view.room.id, (first, after, last, before), around, thread_root_id)


@strawberry.type
class Mutation:
    @strawberry.mutation
    @refusable(SendMessagePayload)
    async def send_message(self, info: Info, input: SendMessageInput) -> SendMessagePayload:  # noqa: A002
        """Say something. With a clientMessageId it is said once, however often it is sent."""
        context = info.context
        await prepare(context.actor.user_id, input.body)
        wish = NewMessage(
            context.actor,
            local_id("room", input.room_id),
            input.body,
            input.client_message_id,
            input.reply_to_id,
            input.thread_root_id,
            input.attachment_ids or (),
        )
        sent = await context.backend.send(wish)
        await context.changed()
        return SendMessagePayload(
            message=sent.message,
            cursor=Cursor(context.cursor(sent.message.room_id, sent.message.seq)),
            replayed=sent.replayed,
        )

    @strawberry.mutation
    @refusable(MessagePayload)
    async def edit_message(self, info: Info, input: EditMessageInput) -> MessagePayload:  # noqa: A002
        """Say it differently. What it said before stays readable in its revisions."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        await prepare(actor.user_id, input.body)
        async with info.context.backend.db.work() as work:
            changed = await editing.edit_message(work, actor, message_id, input.body, input.expected_revision)
        return await payload(info.context, changed)

    @strawberry.mutation
    @refusable(MessagePayload)
    async def delete_message(self, info: Info, input: DeleteMessageInput) -> MessagePayload:  # noqa: A002
        """Take it back. Its place in the room stays, with nothing in it."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await editing.delete_message(work, actor, message_id, input.reason)
        return await payload(info.context, changed)

    @strawberry.mutation
    @refusable(MessagePayload)
    async def add_reaction(self, info: Info, input: ReactionInput) -> MessagePayload:  # noqa: A002
        """Put an emoji under a message. The same one again changes nothing."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await reactions.add_reaction(work, actor, message_id, input.emoji)
        return await payload(info.context, changed)

    @strawberry.mutation
    @refusable(MessagePayload)
    async def remove_reaction(self, info: Info, input: ReactionInput) -> MessagePayload:  # noqa: A002
        """Take one's emoji back."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await reactions.remove_reaction(work, actor, message_id, input.emoji)
        return await payload(info.context, changed)

    @strawberry.mutation
    @refusable(MessagePayload)
    async def pin_message(self, info: Info, input: MessageIdInput) -> MessagePayload:  # noqa: A002
        """Keep a message at hand for everybody in its room."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await pins.pin_message(work, actor, message_id)
        return await payload(info.context, changed)

    @strawberry.mutation
    @refusable(MessagePayload)
    async def unpin_message(self, info: Info, input: MessageIdInput) -> MessagePayload:  # noqa: A002
        """Pin it no longer."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await pins.unpin_message(work, actor, message_id)
        return await payload(info.context, changed)


async def payload(context: Context, changed: MessageChange) -> MessagePayload:
    await context.changed()
    cursor = None if changed.seq is None else Cursor(context.cursor(changed.message.room_id, changed.seq))
    return MessagePayload(message=changed.message, cursor=cursor)


def _owner(context: Context, message: models.Message) -> Hashable:
    """Whom rendering the message is counted for: its author's texts wait for each other, with each reader apart."""
    return context.viewer and context.viewer.user_id, message.author_id


async def _reader_count(context: Context, message: models.Message) -> int:
    async with context.snapshot.session() as session:
        return await receipts.reader_count(session, message)


async def _standing(context: Context, message: models.Message) -> tuple[room_rows.Room, room_rows.Membership | None]:
    """The viewer's place in the message's room."""
    room = await context.rooms.load(message.room_id)
    if room is None:
        raise NotFound("no such room")
    return room, await context.memberships.load((room.id, context.actor.user_id))


async def message_or_none(context: Context, message_id: UUID | None) -> models.Message | None:
    """The message, if the viewer may read its room."""
    actor = context.actor
    try:
        async with context.snapshot.session() as session:
            return await queries.readable_message(session, actor, message_id)
    except NotFound:
        return None
