"""Pages of the messages of a room: its history and its pinned messages."""

from uuid import UUID

import strawberry
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.api.context import Context
from roomcast.api.loaders import Prefetch
from roomcast.api.schema.connections import ConnectionPage, connection_of
from roomcast.core.errors import NotFound
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
    last_seq = await _last_seq(context, room_id)

    async def read(session: AsyncSession) -> Page[tuple[Message]]:
        root_id = None
        if thread_root is not None:
            root_id = await threads.existing_thread_root(session, room_id, local_id("msg", thread_root))
        place = queries.Place(room_id, last_seq, root_id)
        if around is None:
            page = await queries.history(session, place, page_window)
        else:
            page = await queries.messages_around(session, place, local_id("msg", around), page_window.size)
        await _prefetch_content(context, page, session)
        return page

    page = await context.read_content({room_id: last_seq}, read)
    await _prefetch(context, page)
    return connection_of(page, stream_cursor=context.cursor(room_id, last_seq))


async def pinned(context: Context, room_id: UUID, first: int | None, after: str | None) -> ConnectionPage:
    """A page of pinned messages, and the stream cursor of the same snapshot.

    The viewer must have access to the room.
    """
    last_seq = await _last_seq(context, room_id)

    async def read(session: AsyncSession) -> Page[tuple[Message]]:
        page = await pins.pinned_messages(session, queries.Place(room_id, last_seq), window(first, after))
        await _prefetch_content(context, page, session)
        return page

    page = await context.read_content({room_id: last_seq}, read)
    await _prefetch(context, page)
    return connection_of(page, stream_cursor=context.cursor(room_id, last_seq))


async def _last_seq(context: Context, room_id: UUID) -> int:
    """The position of the stream cursor. Raises NotFound if the room has been deleted since it was read."""
    head = await context.room_heads.load(room_id)
    if head is None:
        raise NotFound("There is no such room.")
    return head.last_seq


async def _prefetch_content(context: Context, page: Page[tuple[Message]], session: AsyncSession) -> None:
    """Load what belongs to the messages from where they were read."""
    ids = [message.id for (message,) in page.rows]
    with_attachments = [message.id for (message,) in page.rows if message.has_attachments]
    await context.prefetch(
        Prefetch(frozenset({"reactions"}), context.reactions, ids),
        Prefetch(frozenset({"attachments"}), context.attachments, with_attachments),
        session=session,
    )


async def _prefetch(context: Context, page: Page[tuple[Message]]) -> None:
    messages = [message for (message,) in page.rows]
    ids = [message.id for message in messages]
    author_ids = {message.author_id for message in messages if message.author_id}
    system_user_ids = user_ids_of(message.system_event for message in messages)  # read only if they are needed
    await context.prefetch(
        Prefetch(frozenset({"author"}), context.users, author_ids),
        Prefetch(frozenset({"systemEvent"}), context.users, system_user_ids),
        Prefetch(frozenset({"thread"}), context.threads, ids),
    )
