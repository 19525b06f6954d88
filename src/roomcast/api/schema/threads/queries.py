"""Queries for threads: those that the viewer follows, and single ones."""

from typing import Annotated, TypeAlias, cast
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.loaders import Prefetch
from roomcast.api.schema.connections import After, ConnectionPage, First, connection_of
from roomcast.api.schema.messages.queries import message_or_none
from roomcast.api.schema.threads.types import ThreadConnection
from roomcast.core.paging import window
from roomcast.messages import models
from roomcast.messages.threads import Thread
from roomcast.receipts import threads as receipts

UnreadOnly: TypeAlias = Annotated[
    bool, strawberry.argument(description="Only threads with replies that the viewer has not read.")
]

ROOT_FIELDS = frozenset({"root"})
LAST_REPLY_FIELDS = frozenset({"lastReply"})
PARTICIPANT_FIELDS = frozenset({"participants"})
STATE_FIELDS = frozenset({"viewerIsFollowing", "viewerUnreadCount"})
"""Fields whose rows are loaded for a whole page of threads at once."""


@strawberry.type
class Query:
    @strawberry.field(
        graphql_type=ThreadConnection | None,
        description="The threads that the viewer follows in their rooms, the one with the newest reply first. Threads "
        "without replies are left out.",
    )
    async def threads(
        self, info: Info, first: First = None, after: After = None, unread_only: UnreadOnly = False
    ) -> ConnectionPage:
        context, actor = info.context, info.context.actor
        followed = receipts.followed_threads_read(actor, window(first, after), unread_only=unread_only)
        page = await context.read_direct(followed)
        ids = [root_id for (root_id,) in page.rows]
        await context.threads.prefetch(ids)
        # A thread in the page has a reply, and both were read from one snapshot.
        found = {root_id: cast("Thread", await context.threads.load(root_id)) for root_id in ids}
        last_replies = [(thread.room_id, thread.last_reply_seq) for thread in found.values()]
        await context.prefetch(
            Prefetch(ROOT_FIELDS, context.messages, ids),
            Prefetch(LAST_REPLY_FIELDS, context.messages_at, last_replies),
            Prefetch(PARTICIPANT_FIELDS, context.thread_participant_ids, ids),
            Prefetch(STATE_FIELDS, context.thread_states, [(root_id, actor.user_id) for root_id in ids]),
        )
        return connection_of(page, found.__getitem__)


async def thread_or_none(context: Context, root_id: UUID | None) -> Thread | None:
    """The thread, or None if the viewer may not read it or the message is itself a reply."""
    root = await message_or_none(context, root_id)
    return await thread_of(context, root) if root is not None and root.thread_root_id is None else None


async def thread_of(context: Context, root: models.Message) -> Thread:
    """The thread of this message, which the viewer may read. It may have no replies."""
    return await context.threads.load(root.id) or Thread(root.id, root.room_id)
