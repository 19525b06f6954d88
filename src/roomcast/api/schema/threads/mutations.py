"""Mutations of what the viewer has read and follows of a thread."""

from typing import Annotated

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import MutationPayload
from roomcast.api.schema.messages.types import Thread
from roomcast.api.schema.mutation import describe, mutation
from roomcast.api.schema.threads.queries import thread_of
from roomcast.core.ids import local_id
from roomcast.messages import threads
from roomcast.receipts import thread_actions


@strawberry.type
class ThreadResult(MutationPayload):
    thread: threads.Thread | None = strawberry.field(
        graphql_type=Thread | None, default=None, description="The thread after the change."
    )


@strawberry.type
class Mutation:
    @mutation
    async def mark_thread_read(
        self,
        info: Info,
        thread_root_id: Annotated[strawberry.ID, describe("The first message of the thread.")],
        up_to_message_id: Annotated[
            strawberry.ID,
            describe("The last reply that the viewer has read. What the viewer has read never moves back."),
        ],
    ) -> ThreadResult:
        """Mark the replies of a thread as read, up to and including one of them, with the mentions in them.

        Announces ThreadUnreadChanged to the viewer's inboxes. Errors: NOT_FOUND, NOT_A_MEMBER, VALIDATION_FAILED
        (the message is itself a reply).
        """
        context = info.context
        root_id, message_id = local_id("msg", thread_root_id), local_id("msg", up_to_message_id)
        async with context.backend.db.work() as work:
            root = await thread_actions.mark_thread_read(work, context.actor, root_id, message_id)
        await context.reset_reads()
        return ThreadResult(thread=await thread_of(context, root))

    @mutation
    async def set_thread_following(
        self,
        info: Info,
        thread_root_id: Annotated[
            strawberry.ID, describe("The first message of the thread. It need not have replies yet.")
        ],
        following: Annotated[
            bool,
            describe(
                "Following begins at the newest reply: earlier ones are not unread. False also holds when the viewer "
                "replies or is mentioned later."
            ),
        ],
    ) -> ThreadResult:
        """Follow a thread or stop following it, whatever the viewer does in it later.

        Announces ThreadUnreadChanged to the viewer's inboxes where the unread replies change. Errors: NOT_FOUND,
        NOT_A_MEMBER, VALIDATION_FAILED (the message is itself a reply).
        """
        context = info.context
        root_id = local_id("msg", thread_root_id)
        async with context.backend.db.work() as work:
            root = await thread_actions.set_thread_following(work, context.actor, root_id, following=following)
        await context.reset_reads()
        return ThreadResult(thread=await thread_of(context, root))
