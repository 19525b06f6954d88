"""Pages of the messages of a room: its history and its pinned messages."""

from uuid import UUID

import strawberry

from roomcast.api.context import Context
from roomcast.api.loaders import Prefetch
from roomcast.api.schema.connections import ConnectionPage, connection_of
from roomcast.core.event_log import heads_by_id
from roomcast.core.ids import local_id
from roomcast.core.paging import Page, window
from roomcast.messages import pins, queries, threads
from roomcast.messages.models import Message
from roomcast.messages.system_events import user_ids_of

PageArguments = tuple[int | None, str | None, int | None, str | None]
"""first, after, last, before."""


async def history(
    context: Context,
    room_id: UUID,
    arguments: PageArguments,
    around: strawberry.ID | None,
    thread_root: strawberry.ID | None = None,
) -> ConnectionPage:
    """A page of messages and the stream cursor of the same snapshot. The viewer must have access to the room.

    With `around`, the page surrounds that message, and `first` is its size. With `thread_root`, it has only the replies
    of that thread.
    """
    page_window = window(*arguments, newest=True)
    async with context.snapshot.session() as session:
        head = (await heads_by_id(session, [room_id]))[room_id]
        root_id = None
        if thread_root is not None:
            root_id = await threads.existing_thread_root(session, room_id, local_id("msg", thread_root))
        if around is not None:
            message_id = local_id("msg", around)
            page = await queries.messages_around(session, room_id, message_id, page_window.size, root_id)
        else:
            page = await queries.history(session, room_id, page_window, root_id)
    await _prefetch(context, page)
    return connection_of(page, stream_cursor=context.cursor(room_id, head.last_seq))


async def pinned(context: Context, room_id: UUID, first: int | None, after: str | None) -> ConnectionPage:
    """A page of pinned messages, and the stream cursor of the same snapshot.

    The viewer must have access to the room.
    """
    async with context.snapshot.session() as session:
        head = (await heads_by_id(session, [room_id]))[room_id]
        page = await pins.pinned_messages(session, room_id, window(first, after))
    await _prefetch(context, page)
    return connection_of(page, stream_cursor=context.cursor(room_id, head.last_seq))


async def _prefetch(context: Context, page: Page[tuple[Message]]) -> None:
    messages = [message for (message,) in page.rows]
    ids = [message.id for message in messages]
    author_ids = {message.author_id for message in messages if message.author_id}
    system_user_ids = user_ids_of(message.system_event for message in messages)  # read only if they are needed
    with_attachments = [message.id for message in messages if message.has_attachments]
    await context.prefetch(
        Prefetch(frozenset({"author"}), context.users, author_ids),
        Prefetch(frozenset({"systemEvent"}), context.users, system_user_ids),
        Prefetch(frozenset({"reactions"}), context.reactions, ids),
        Prefetch(frozenset({"thread"}), context.threads, ids),
        Prefetch(frozenset({"attachments"}), context.attachments, with_attachments),
    )
