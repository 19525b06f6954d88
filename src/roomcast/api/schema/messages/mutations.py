"""Mutations that send and change messages."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Concatenate, ParamSpec
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.errors import MutationPayload
from roomcast.api.schema.connections import Edge
from roomcast.api.schema.messages.types import Message, MessageEdge
from roomcast.api.schema.mutation import MessageId, Omittable, Reason, RoomId, describe, mutation
from roomcast.api.schema.scalars import Cursor
from roomcast.core.actor import Actor
from roomcast.core.db import Work
from roomcast.core.ids import local_id
from roomcast.messages import editing, models, pins, reactions
from roomcast.messages.actions import NewMessage, Sent
from roomcast.messages.editing import MessageChange
from roomcast.messages.preparing import warm_text_caches
from roomcast.messages.queries import history_cursor

P = ParamSpec("P")

Emoji = Annotated[str, describe("Exactly one emoji.")]
ClientMessageId = Annotated[
    UUID | None,
    describe(
        "A new UUID for each message: its idempotency key and its id for optimistic updates. Sending the same key and "
        "content again returns the original message. Other content with the same key fails with "
        "IDEMPOTENCY_KEY_REUSED. Keys never expire."
    ),
]


@strawberry.type
class MessageResult(MutationPayload):
    message: models.Message | None = strawberry.field(
        graphql_type=Message | None, default=None, description="The message after the change."
    )
    cursor: Cursor | None = strawberry.field(
        default=None, description="The position of the event that this change caused. Null when nothing changed."
    )


@strawberry.type
class SentMessage(MutationPayload):
    message: models.Message | None = strawberry.field(
        graphql_type=Message | None,
        default=None,
        description="The message, which may be an earlier one: see `replayed`.",
    )
    cursor: Cursor | None = strawberry.field(
        default=None, description="The position of the event that announced the message."
    )
    message_edge: Edge | None = strawberry.field(
        graphql_type=MessageEdge | None,
        default=None,
        description="The edge of the message in its room's history, or in that of its thread. For caches of edges.",
    )
    replayed: bool = strawberry.field(
        default=False,
        description="True when this clientMessageId was used before. `message` is then the original message.",
    )


@strawberry.type
class Mutation:
    @mutation
    async def send_message(
        self,
        info: Info,
        room_id: RoomId,
        body: Annotated[
            str | None, describe("Markdown, at most 4,000 characters. It may be left out if there are attachments.")
        ] = None,
        client_message_id: ClientMessageId = None,
        reply_to_id: Annotated[strawberry.ID | None, describe("The message of this room that it replies to.")] = None,
        thread_root_id: Annotated[
            strawberry.ID | None, describe("Send a reply in the thread of this message. Threads are not nested.")
        ] = None,
        attachment_ids: Annotated[
            list[strawberry.ID] | None,
            describe("Completed uploads of the sender, at most 10. Each can be used once."),
        ] = None,
    ) -> SentMessage:
        """Send a message to a room. With a clientMessageId, repeated calls send it only once.

        Announces MessageCreated. Errors: VALIDATION_FAILED, MESSAGE_TOO_LONG, NOT_FOUND, NOT_A_MEMBER, ROOM_ARCHIVED,
        READ_ONLY, MUTED, SLOW_MODE, IDEMPOTENCY_KEY_REUSED, ATTACHMENT_NOT_READY, CONFLICT (a file is attached to
        another message).
        """
        context, text = info.context, body or ""
        await warm_text_caches(context.actor.user_id, text)
        room, files = local_id("room", room_id), attachment_ids or ()
        new = NewMessage(context.actor, room, text, client_message_id, reply_to_id, thread_root_id, files)
        sent = await context.backend.message_sender.send(new)
        await context.reset_reads()
        _remember(context, sent)
        return SentMessage(
            message=sent.message,
            cursor=Cursor(context.cursor(sent.message.room_id, sent.message.seq)),
            message_edge=Edge(history_cursor(sent.message), sent.message),
            replayed=sent.replayed,
        )

    @mutation
    async def edit_message(
        self,
        info: Info,
        message_id: MessageId,
        body: Annotated[str, describe("The new body.")],
        expected_revision: Annotated[
            Omittable[int], describe("Fail with CONFLICT if the message has another revision.")
        ] = None,
    ) -> MessageResult:
        """Replace the body of a message. Only its author can. Earlier bodies stay readable as revisions.

        Announces MessageUpdated. The same body again changes nothing. Errors: VALIDATION_FAILED, MESSAGE_TOO_LONG,
        NOT_FOUND, FORBIDDEN, CONFLICT (the message is deleted, or has another revision), NOT_A_MEMBER, ROOM_ARCHIVED,
        READ_ONLY, MUTED.
        """
        await warm_text_caches(info.context.actor.user_id, body)
        return await _change_message(info.context, message_id, editing.edit_message, body, expected_revision)

    @mutation
    async def delete_message(self, info: Info, message_id: MessageId, reason: Reason = None) -> MessageResult:
        """Delete a message, as its author or as a moderator. It keeps its place in the room, without a body.

        Announces MessageDeleted. Errors: VALIDATION_FAILED, NOT_FOUND, NOT_A_MEMBER, ROOM_ARCHIVED, FORBIDDEN.
        """
        return await _change_message(info.context, message_id, editing.delete_message, reason)

    @mutation
    async def add_reaction(self, info: Info, message_id: MessageId, emoji: Emoji) -> MessageResult:
        """Add a reaction of the viewer to a message. Adding the same emoji again changes nothing.

        Announces ReactionChanged. Errors: VALIDATION_FAILED, NOT_FOUND, NOT_A_MEMBER, ROOM_ARCHIVED, READ_ONLY, MUTED,
        FORBIDDEN (a system message), CONFLICT (the message is deleted).
        """
        return await _change_message(info.context, message_id, reactions.add_reaction, emoji)

    @mutation
    async def remove_reaction(self, info: Info, message_id: MessageId, emoji: Emoji) -> MessageResult:
        """Remove a reaction of the viewer from a message. If there is none, nothing changes.

        Announces ReactionChanged. Errors: VALIDATION_FAILED, NOT_FOUND, NOT_A_MEMBER, ROOM_ARCHIVED.
        """
        return await _change_message(info.context, message_id, reactions.remove_reaction, emoji)

    @mutation
    async def pin_message(self, info: Info, message_id: MessageId) -> MessageResult:
        """Pin a message for all members of its room. Moderators and owners only.

        Announces MessageUpdated. Errors: NOT_FOUND, NOT_A_MEMBER, ROOM_ARCHIVED, FORBIDDEN, CONFLICT (the message is
        deleted).
        """
        return await _change_message(info.context, message_id, pins.pin_message)

    @mutation
    async def unpin_message(self, info: Info, message_id: MessageId) -> MessageResult:
        """Unpin a message. Moderators and owners only.

        Announces MessageUpdated. Errors: NOT_FOUND, NOT_A_MEMBER, ROOM_ARCHIVED, FORBIDDEN, CONFLICT (the message is
        deleted).
        """
        return await _change_message(info.context, message_id, pins.unpin_message)


def _remember(context: Context, sent: Sent) -> None:
    """Keep the rows that the send has read, so that the fields of its payload need no second snapshot."""
    context.rooms.prime(sent.room.id, sent.room)
    if sent.author is not None:
        context.users.prime(sent.author.id, sent.author)
    if sent.reply_to is not None:
        context.messages.prime(sent.reply_to.id, sent.reply_to)
    if sent.attachments:
        context.attachments.prime(sent.message.id, [*sent.attachments])


async def _change_message(
    context: Context,
    message_id: strawberry.ID,
    action: Callable[Concatenate[Work, Actor, UUID | None, P], Awaitable[MessageChange]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> MessageResult:
    """Run an action on a message in one transaction. The result has the message and the cursor of the change."""
    actor = context.actor
    async with context.backend.db.work() as work:
        changed = await action(work, actor, local_id("msg", message_id), *args, **kwargs)
    await context.reset_reads()
    cursor = None if changed.seq is None else Cursor(context.cursor(changed.message.room_id, changed.seq))
    return MessageResult(message=changed.message, cursor=cursor)
