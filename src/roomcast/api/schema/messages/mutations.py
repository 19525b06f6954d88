"""Mutations of messages."""

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
from roomcast.core.ids import local_id
from roomcast.messages import editing, models, pins, reactions
from roomcast.messages.actions import NewMessage
from roomcast.messages.editing import MessageChange
from roomcast.messages.preparing import prepare


@strawberry.type
class SendMessagePayload(MutationPayload):
    message: models.Message | None = strawberry.field(graphql_type=Message | None, default=None)
    cursor: Cursor | None = None
    replayed: bool = strawberry.field(
        default=False,
        description="True when this clientMessageId had been used before and `message` is the original.",
    )


@strawberry.type
class MessagePayload(MutationPayload):
    message: models.Message | None = strawberry.field(graphql_type=Message | None, default=None)
    cursor: Cursor | None = strawberry.field(
        default=None, description="The position of the event that this change caused; null when nothing changed."
    )


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(SendMessagePayload)
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
        await context.reset_reads()
        return SendMessagePayload(
            message=sent.message,
            cursor=Cursor(context.cursor(sent.message.room_id, sent.message.seq)),
            replayed=sent.replayed,
        )

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def edit_message(self, info: Info, input: EditMessageInput) -> MessagePayload:  # noqa: A002
        """Say it differently. What it said before stays readable in its revisions."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        await prepare(actor.user_id, input.body)
        async with info.context.backend.db.work() as work:
            changed = await editing.edit_message(work, actor, message_id, input.body, input.expected_revision)
        return await payload(info.context, changed)

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def delete_message(self, info: Info, input: DeleteMessageInput) -> MessagePayload:  # noqa: A002
        """Take it back. Its place in the room stays, with nothing in it."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await editing.delete_message(work, actor, message_id, input.reason)
        return await payload(info.context, changed)

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def add_reaction(self, info: Info, input: ReactionInput) -> MessagePayload:  # noqa: A002
        """Put an emoji under a message. The same one again changes nothing."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await reactions.add_reaction(work, actor, message_id, input.emoji)
        return await payload(info.context, changed)

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def remove_reaction(self, info: Info, input: ReactionInput) -> MessagePayload:  # noqa: A002
        """Take one's emoji back."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await reactions.remove_reaction(work, actor, message_id, input.emoji)
        return await payload(info.context, changed)

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def pin_message(self, info: Info, input: MessageIdInput) -> MessagePayload:  # noqa: A002
        """Keep a message at hand for everybody in its room."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await pins.pin_message(work, actor, message_id)
        return await payload(info.context, changed)

    @strawberry.mutation
    @errors_in_payload(MessagePayload)
    async def unpin_message(self, info: Info, input: MessageIdInput) -> MessagePayload:  # noqa: A002
        """Pin it no longer."""
        actor, message_id = info.context.actor, local_id("msg", input.message_id)
        async with info.context.backend.db.work() as work:
            changed = await pins.unpin_message(work, actor, message_id)
        return await payload(info.context, changed)


async def payload(context: Context, changed: MessageChange) -> MessagePayload:
    await context.reset_reads()
    cursor = None if changed.seq is None else Cursor(context.cursor(changed.message.room_id, changed.seq))
    return MessagePayload(message=changed.message, cursor=cursor)
