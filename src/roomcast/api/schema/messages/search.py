"""The door of searching: messages by what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import strawberry

from roomcast.api.context import Info
from roomcast.api.schema.connections import PageInfo, connected
from roomcast.api.schema.messages.messages import Message
from roomcast.core.ids import local_id
from roomcast.core.paging import window
from roomcast.messages import models, search


@dataclass(frozen=True, slots=True)
class Find:
    cursor: str
    node: models.Message
    words: Sequence[str]


@strawberry.type
class MessageSearchEdge:
    cursor: str
    node: models.Message = strawberry.field(graphql_type=Message)

    @strawberry.field(description="HTML-escaped, matches in <mark>.")
    async def snippet_html(self, find: strawberry.Parent[Find], info: Info) -> str:
        return await search.excerpt(info.context.actor.user_id, find.node.body or "", find.words)


@strawberry.type
class MessageSearchConnection:
    edges: list[Find] = strawberry.field(graphql_type=list[MessageSearchEdge])
    nodes: list[models.Message] = strawberry.field(graphql_type=list[Message])
    page_info: PageInfo


@strawberry.input
class MessageSearchFilter:
    room_ids: list[strawberry.ID] | None = None
    author_ids: list[strawberry.ID] | None = None
    before: datetime | None = None
    after: datetime | None = None
    has_attachment: bool | None = None


@strawberry.type
class Query:
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
            page = connected(await search.search(session, actor, words, _wanted(filter), pages))
        finds = [Find(edge.cursor, edge.node, words) for edge in page.edges]
        return MessageSearchConnection(edges=finds, nodes=page.nodes, page_info=page.page_info)


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
