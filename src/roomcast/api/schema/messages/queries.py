"""Queries about messages."""

from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.schema.connections import ConnectionPage, connection_of
from roomcast.api.schema.messages.history import history
from roomcast.api.schema.messages.inputs import MessageSearchFilter
from roomcast.api.schema.messages.types import Find, Message, MessageConnection, MessageSearchConnection
from roomcast.core.errors import NotFound
from roomcast.core.ids import local_id
from roomcast.core.paging import window
from roomcast.messages import models, queries, search
from roomcast.rooms import queries as rooms


@strawberry.type
class Query:
    @strawberry.field(graphql_type=Message | None)
    async def message(self, info: Info, id: strawberry.ID) -> models.Message | None:  # noqa: A002
        return await message_or_none(info.context, local_id("msg", id))

    @strawberry.field(
        graphql_type=MessageConnection,
        description="A room's history, oldest first. The newest page is `last: 50`; older pages add `before`.",
    )
    async def messages(
        self,
        info: Info,
        room_id: strawberry.ID,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        around: strawberry.ID | None = None,
        thread_root_id: strawberry.ID | None = None,
    ) -> ConnectionPage:
        async with info.context.snapshot.session() as session:
            view = await rooms.readable_room(session, info.context.actor, local_id("room", room_id))
        return await history(info.context, view.room.id, (first, after, last, before), around, thread_root_id)

    @strawberry.field(graphql_type=MessageSearchConnection)
    async def search_messages(
        self,
        info: Info,
        query: str,
        filter: MessageSearchFilter | None = None,  # noqa: A002 (the contract's word)
        first: int | None = None,
        after: str | None = None,
    ) -> MessageSearchConnection:
        """Messages that hold every word of the query, the newest first, in the viewer's rooms. Quotes hold words
        together; parts of words are found too."""
        actor, words, pages = info.context.actor, search.words_of(query), window(first, after)
        async with info.context.snapshot.session() as session:
            page = connection_of(await search.search(session, actor, words, _wanted(filter), pages))
        finds = [Find(edge.cursor, edge.node, words) for edge in page.edges]
        return MessageSearchConnection(edges=finds, nodes=page.nodes, page_info=page.page_info)


async def message_or_none(context: Context, message_id: UUID | None) -> models.Message | None:
    """The message, if the viewer may read its room."""
    actor = context.actor
    try:
        async with context.snapshot.session() as session:
            return await queries.readable_message(session, actor, message_id)
    except NotFound:
        return None


def _wanted(chosen: MessageSearchFilter | None) -> search.Filter:
    if chosen is None:
        return search.Filter()
    return search.Filter(
        None if chosen.room_ids is None else [local_id("room", id_) for id_ in chosen.room_ids],
        None if chosen.author_ids is None else [local_id("user", id_) for id_ in chosen.author_ids],
        chosen.before,
        chosen.after,
        chosen.has_attachment,
    )
