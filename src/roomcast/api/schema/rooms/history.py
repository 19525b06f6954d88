"""Pages of the messages of a room: its history and its pinned messages."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import strawberry
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.api.context import Context
from roomcast.api.loaders import Prefetch
from roomcast.api.schema.connections import ConnectionPage, connection_of
from roomcast.core.direct_queries import DirectRead, read_together
from roomcast.core.errors import NotFound
from roomcast.core.ids import local_id
from roomcast.core.paging import Page, Window, window
from roomcast.messages import pins, queries, threads
from roomcast.messages.models import Message
from roomcast.messages.system_events import user_ids_of
from roomcast.rooms import queries as rooms

PageArguments = tuple[int | None, str | None, int | None, str | None]
"""first, after, last, before."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """With `around`, the page surrounds that message, and `first` is its size. With `thread_root`, it has only the
    replies of that thread."""

    window: Window
    around: strawberry.ID | None
    thread_root: strawberry.ID | None

    def reads(self, room_id: UUID, last_seq: int) -> list[DirectRead[Any]]:
        """The reads of the page, the last of which returns it. Raises BadUserInput."""
        root_id = local_id("msg", self.thread_root) if self.thread_root is not None else None
        place = queries.Place(room_id, last_seq, root_id)
        if self.around is None:
            page = queries.history_read(place, self.window)
        else:
            page = queries.around_read(place, local_id("msg", self.around), self.window.size)
        return [page] if self.thread_root is None else [threads.thread_root_read(room_id, root_id), page]


def page_request(
    arguments: PageArguments, around: strawberry.ID | None, thread_root: strawberry.ID | None = None
) -> PageRequest:
    """Raises BadUserInput."""
    return PageRequest(window(*arguments, newest=True), around, thread_root)


async def readable_history(context: Context, room_id: UUID | None, request: PageRequest) -> ConnectionPage:
    """As `history`, for a room that has not been read yet. It is read together with the page, in which rows are left
    out only from a replica: they need the head of the room first."""
    readable = rooms.room_read(context.actor, room_id)
    if context.backend.replicas is not None or room_id is None:
        view = await context.read_direct(readable)
        context.room_heads.prime(view.room.id, view.head)
        return await history(context, view.room.id, request)
    view, *_, page = await context.read_together(readable, *request.reads(room_id, queries.EVERY_SEQ))
    await context.prefetch(*_content_of(context, page), *_related_to(context, page))
    await context.prefetch(*_authors_of_answered(context, page))
    return connection_of(page, stream_cursor=context.cursor(room_id, view.head.last_seq))


async def history(context: Context, room_id: UUID, request: PageRequest) -> ConnectionPage:
    """A page of messages and the stream cursor of the same snapshot. The viewer must have access to the room."""
    last_seq, has_replicas = await _last_seq(context, room_id), context.backend.replicas is not None

    async def read(session: AsyncSession) -> Page[tuple[Message]]:
        *_, page = await read_together(
            session, *request.reads(room_id, last_seq if has_replicas else queries.EVERY_SEQ)
        )
        await context.prefetch(*_content_of(context, page), session=session)
        return page  # type: ignore[no-any-return]

    page = await context.read_content({room_id: last_seq}, read)
    await context.prefetch(*_related_to(context, page))
    await context.prefetch(*_authors_of_answered(context, page))
    return connection_of(page, stream_cursor=context.cursor(room_id, last_seq))


async def pinned(context: Context, room_id: UUID, first: int | None, after: str | None) -> ConnectionPage:
    """A page of pinned messages, and the stream cursor of the same snapshot.

    The viewer must have access to the room.
    """
    last_seq = await _last_seq(context, room_id)

    async def read(session: AsyncSession) -> Page[tuple[Message]]:
        page = await pins.pinned_messages(session, queries.Place(room_id, last_seq), window(first, after))
        await context.prefetch(*_content_of(context, page), session=session)
        return page

    page = await context.read_content({room_id: last_seq}, read)
    await context.prefetch(*_related_to(context, page))
    await context.prefetch(*_authors_of_answered(context, page))
    return connection_of(page, stream_cursor=context.cursor(room_id, last_seq))


async def _last_seq(context: Context, room_id: UUID) -> int:
    """The position of the stream cursor. Raises NotFound if the room has been deleted since it was read."""
    head = await context.room_heads.load(room_id)
    if head is None:
        raise NotFound("There is no such room.")
    return head.last_seq


def _content_of(context: Context, page: Page[tuple[Message]]) -> list[Prefetch]:
    """What belongs to the messages, and is read from where they were read."""
    messages = [message for (message,) in page.rows]
    with_attachments = [message.id for message in messages if message.has_attachments]
    return [
        Prefetch(frozenset({"reactions"}), context.reactions, [message.id for message in messages]),
        Prefetch(frozenset({"attachments"}), context.attachments, with_attachments),
    ]


def _related_to(context: Context, page: Page[tuple[Message]]) -> list[Prefetch]:
    """What the messages refer to, and is read in the snapshot."""
    messages = [message for (message,) in page.rows]
    author_ids = {message.author_id for message in messages if message.author_id}
    system_user_ids = user_ids_of(message.system_event for message in messages)  # read only if they are needed
    viewer_id = context.viewer.user_id if context.viewer else None
    own = [(message.id, viewer_id) for message in messages] if viewer_id else []
    answered_ids = _answered_ids(page)
    for message in messages:  # most answers are near to what they answer
        if message.id in answered_ids:
            context.messages.prime(message.id, message)
    return [
        Prefetch(frozenset({"author"}), context.users, author_ids),
        Prefetch(frozenset({"systemEvent"}), context.users, system_user_ids),
        Prefetch(frozenset({"thread"}), context.threads, [message.id for message in messages]),
        Prefetch(frozenset({"viewerHasReacted"}), context.own_emoji, own),
        Prefetch(frozenset({"replyTo"}), context.messages, answered_ids),
    ]


def _authors_of_answered(context: Context, page: Page[tuple[Message]]) -> list[Prefetch]:
    """Read when the messages that are answered have been loaded."""
    authors = {message.author_id for message in context.messages.loaded(_answered_ids(page)) if message.author_id}
    return [Prefetch(frozenset({"author"}), context.users, authors)]


def _answered_ids(page: Page[tuple[Message]]) -> set[UUID]:
    return {message.reply_to_id for (message,) in page.rows if message.reply_to_id}
