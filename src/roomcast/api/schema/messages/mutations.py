"""Mutations that send and change messages."""

from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.errors import MutationPayload, errors_in_payload
from roomcast.api.schema.messages.inputs import (
    DeleteMessageInput,
    EditMessageInput,
    MessageIdInput,
    ReactionInput,
    SendMessageInput,
)
from roomcast.api.schema.messages.types import Message
from roomcast.api.schema.scalars import Cursor
from roomcast.core.actor import Actor
from roomcast.core.db import Work
from roomcast.core.ids import local_id
from roomcast.messages import editing, models, pins, reactions
from roomcast.messages.actions import NewMessage
from roomcast.messages.editing import MessageChange
from roomcast.messages.preparing import prepare

P = ParamSpec("P")


@strawberry.type
class SendMessagePayload(MutationPayload):
    message: models.Message | None = strawberry.field(graphql_type=Message | None, default=None)
    cursor: Cursor | None = None
    replayed: bool = strawberry.field(
        default=False,
        description="True when this clientMessageId was used before. `message` is then the original message.",
    )


@strawberry.type
class MessagePayload(MutationPayload):
    message: models.Message | None = strawberry.field(graphql_type=Message | None, default=None)
    cursor: Cursor | None = strawberry.field(
        default=None, description="The position of the event that this change caused. Null when nothing changed."
    )


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(SendMessagePayload)
    async def send_message(self, info: Info, input: SendMessageInput) -> SendMessagePayload:  # noqa: A002
        """Send a message to a room. With a clientMessageId, repeated calls send it only once."""
        context = info.context
        await prepare(context.actor.user_id, input.body)
        new_message = NewMessage(
            context.actor,
            local_id("room", input.room_id),
            input.body,
            input.client_message_id,
            input.reply_to_id,
            input.thread_root_id,
            input.attachment_ids or (),
        )
        sent = await context.backend.message_sender.send(new_message)
        await context.reset_reads()
        return SendMessagePayload(
            message=sent.message,
            cursor=Cursor(context.cursor(sent.message.room_id, sent.message.seq)),
            replayed=sent.replayed,
        )

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def edit_message(self, info: Info, input: EditMessageInput) -> MessagePayload:  # noqa: A002
        """Replace the body of a message. Earlier bodies stay readable as revisions."""
        await prepare(info.context.actor.user_id, input.body)
        return await _change_message(
            info.context, input.message_id, editing.edit_message, input.body, input.expected_revision
        )

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def delete_message(self, info: Info, input: DeleteMessageInput) -> MessagePayload:  # noqa: A002
        """Delete a message. It keeps its place in the room, without a body."""
        return await _change_message(info.context, input.message_id, editing.delete_message, input.reason)

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def add_reaction(self, info: Info, input: ReactionInput) -> MessagePayload:  # noqa: A002
        """Add a reaction of the viewer to a message. Adding the same emoji again changes nothing."""
        return await _change_message(info.context, input.message_id, reactions.add_reaction, input.emoji)

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def remove_reaction(self, info: Info, input: ReactionInput) -> MessagePayload:  # noqa: A002
        """Remove a reaction of the viewer from a message."""
        return await _change_message(info.context, input.message_id, reactions.remove_reaction, input.emoji)

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def pin_message(self, info: Info, input: MessageIdInput) -> MessagePayload:  # noqa: A002
        """Pin a message for all members of its room."""
        return await _change_message(info.context, input.message_id, pins.pin_message)

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def unpin_message(self, info: Info, input: MessageIdInput) -> MessagePayload:  # noqa: A002
        """Unpin a message."""
        return await _change_message(info.context, input.message_id, pins.unpin_message)


async def _change_message(
    context: Context,
    message_id: strawberry.ID,
    action: Callable[Concatenate[Work, Actor, UUID | None, P], Awaitable[MessageChange]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> MessagePayload:
    """Run an action on a message in one transaction. The payload has the message and the cursor of the change."""
    actor = context.actor
    async with context.backend.db.work() as work:
        changed = await action(work, actor, local_id("msg", message_id), *args, **kwargs)
    await context.reset_reads()
    cursor = None if changed.seq is None else Cursor(context.cursor(changed.message.room_id, changed.seq))
    return MessagePayload(message=changed.message, cursor=cursor)
