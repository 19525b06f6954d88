"""A room's history, as both `messages(roomId:)` and `Room.messages` show it."""

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

Bounds = tuple[int | None, str | None, int | None, str | None]
"""first, after, last, before."""


async def history(
    context: Context,
    room_id: UUID,
    bounds: Bounds,
    around: strawberry.ID | None,
    thread_root: strawberry.ID | None = None,
) -> ConnectionPage:
    """A page of a room that the viewer has reached, with the position of the log at the moment it was read.

    `around` a message takes `first` as its size. With `thread_root` the replies of that thread and nothing else.
    """
    wanted = window(*bounds, newest=True)
    async with context.snapshot.session() as session:
        head = (await heads_by_id(session, [room_id]))[room_id]
        root_id = None
        if thread_root is not None:
            root_id = await threads.check_root(session, room_id, local_id("msg", thread_root))
        if around is not None:
            page = await queries.around(session, room_id, local_id("msg", around), wanted.size, root_id)
        else:
            page = await queries.history(session, room_id, wanted, root_id)
    await _foresee(context, page)
    return connection_of(page, stream_cursor=context.cursor(room_id, head.last_seq))


async def pinned(context: Context, room_id: UUID, first: int | None, after: str | None) -> ConnectionPage:
    """A page of the pinned messages of a room that the viewer has reached."""
    async with context.snapshot.session() as session:
        head = (await heads_by_id(session, [room_id]))[room_id]
        page = await pins.pinned(session, room_id, window(first, after))
    await _foresee(context, page)
    return connection_of(page, stream_cursor=context.cursor(room_id, head.last_seq))


async def _foresee(context: Context, page: Page[tuple[Message]]) -> None:
    messages = [message for (message,) in page.rows]
    ids = [message.id for message in messages]
    with_files = [message.id for message in messages if message.has_attachments]
    await context.prefetch(
        Prefetch(
            frozenset({"author"}), context.users, {message.author_id for message in messages if message.author_id}
        ),
        Prefetch(frozenset({"reactions"}), context.reactions, ids),
        Prefetch(frozenset({"thread"}), context.threads, ids),
        Prefetch(frozenset({"attachments"}), context.attachments, with_files),
    )
