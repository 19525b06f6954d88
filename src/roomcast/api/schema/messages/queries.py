"""Queries for messages: single ones, the history of a room, and search."""

from typing import Annotated
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.schema.connections import After, Before, ConnectionPage, First, Last, connection_of
from roomcast.api.schema.messages.inputs import MessageSearchFilter
from roomcast.api.schema.messages.types import Message, MessageConnection, MessageSearchConnection, SearchHit
from roomcast.api.schema.rooms.history import page_request, readable_history
from roomcast.api.schema.rooms.types import AroundArgument, ThreadRootArgument
from roomcast.core.actor import Actor
from roomcast.core.errors import NotFound
from roomcast.core.ids import local_id
from roomcast.core.paging import Page, Window, window
from roomcast.messages import models, queries, search


@strawberry.type
class Query:
    @strawberry.field(
        graphql_type=Message | None,
        description="The message with this id. Null if the viewer cannot read such a message.",
    )
    async def message(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The id of a message, `msg_…`.")],  # noqa: A002 (GraphQL's name)
    ) -> models.Message | None:
        return await message_or_none(info.context, local_id("msg", id))

    @strawberry.field(
        graphql_type=MessageConnection | None,
        description="The messages of a room, oldest first. `last: 50` is the newest page. Add `before` for older "
        "pages.",
    )
    async def messages(
        self,
        info: Info,
        room_id: Annotated[strawberry.ID, strawberry.argument(description="The id of the room.")],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        around: AroundArgument = None,
        thread_root_id: ThreadRootArgument = None,
    ) -> ConnectionPage:
        request = page_request((first, after, last, before), around, thread_root_id)
        return await readable_history(info.context, local_id("room", room_id), request)

    @strawberry.field(
        graphql_type=MessageSearchConnection | None,
        description="Messages in the viewer's rooms that contain every word of the query, the newest first. Words in "
        "quotes must be adjacent. Parts of words match too.",
    )
    async def search_messages(
        self,
        info: Info,
        query: Annotated[str, strawberry.argument(description="The words to find.")],
        filter: Annotated[  # noqa: A002 (GraphQL's name)
            MessageSearchFilter | None, strawberry.argument(description="Only messages that match all of its fields.")
        ] = None,
        first: First = None,
        after: After = None,
    ) -> MessageSearchConnection:
        actor, words, page_window = info.context.actor, search.parse_query(query), window(first, after)
        page = connection_of(await _search(info.context, (actor, words, _search_filter(filter), page_window)))
        hits = [SearchHit(edge.cursor, edge.node, words) for edge in page.edges]
        return MessageSearchConnection(edges=hits, nodes=page.nodes, page_info=page.page_info)


async def message_or_none(context: Context, message_id: UUID | None) -> models.Message | None:
    """The message, or None if the viewer may not read it."""
    actor = context.actor
    try:
        return await context.read(queries.readable_record, actor, message_id)
    except NotFound:
        return None


async def _search(
    context: Context, wanted: tuple[Actor, list[str], search.SearchFilter, Window]
) -> Page[tuple[models.Message]]:
    if context.backend.replicas is None:
        return await context.read(search.search_messages, *wanted)
    heads = await context.read(search.heads_of_rooms, wanted[0], wanted[2])
    return await context.read_content(heads, lambda session: search.search_messages(session, *wanted, heads))


def _search_filter(chosen: MessageSearchFilter | None) -> search.SearchFilter:
    if chosen is None:
        return search.SearchFilter()
    return search.SearchFilter(
        None if chosen.room_ids is None else [local_id("room", id_) for id_ in chosen.room_ids],
        None if chosen.author_ids is None else [local_id("user", id_) for id_ in chosen.author_ids],
        chosen.before,
        chosen.after,
        chosen.has_attachment,
    )
