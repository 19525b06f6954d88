"""Mutations of what the viewer has read and follows of a thread."""

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import MutationPayload, errors_in_payload
from roomcast.api.schema.messages.types import Thread
from roomcast.api.schema.threads.inputs import MarkThreadReadInput, SetThreadFollowingInput
from roomcast.api.schema.threads.queries import thread_of
from roomcast.core.ids import local_id
from roomcast.messages import threads
from roomcast.receipts import thread_actions


@strawberry.type
class MarkThreadReadPayload(MutationPayload):
    thread: threads.Thread | None = strawberry.field(graphql_type=Thread | None, default=None)


@strawberry.type
class SetThreadFollowingPayload(MutationPayload):
    thread: threads.Thread | None = strawberry.field(graphql_type=Thread | None, default=None)


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(MarkThreadReadPayload)
    async def mark_thread_read(self, info: Info, input: MarkThreadReadInput) -> MarkThreadReadPayload:  # noqa: A002
        """Mark the replies of a thread as read, up to and including one of them, with the mentions in them.

        Announces ThreadUnreadChanged to the viewer's inboxes. Error codes: NOT_FOUND, NOT_A_MEMBER, VALIDATION_FAILED
        (the message is itself a reply).
        """
        context = info.context
        root_id, message_id = local_id("msg", input.thread_root_id), local_id("msg", input.up_to_message_id)
        async with context.backend.db.work() as work:
            root = await thread_actions.mark_thread_read(work, context.actor, root_id, message_id)
        await context.reset_reads()
        return MarkThreadReadPayload(thread=await thread_of(context, root))

    @strawberry.mutation
    @errors_in_payload(SetThreadFollowingPayload)
    async def set_thread_following(
        self,
        info: Info,
        input: SetThreadFollowingInput,  # noqa: A002
    ) -> SetThreadFollowingPayload:
        """Follow a thread or stop following it, whatever the viewer does in it later.

        Announces ThreadUnreadChanged to the viewer's inboxes where the unread replies change. Error codes: NOT_FOUND,
        NOT_A_MEMBER, VALIDATION_FAILED (the message is itself a reply).
        """
        context = info.context
        root_id = local_id("msg", input.thread_root_id)
        async with context.backend.db.work() as work:
            root = await thread_actions.set_thread_following(work, context.actor, root_id, following=input.following)
        await context.reset_reads()
        return SetThreadFollowingPayload(thread=await thread_of(context, root))
