"""GraphQL types of pages of threads. `Thread` itself is in `messages.types`, because messages and threads refer to each
other."""

import strawberry

from roomcast.api.schema.connections import Edge, PageInfo
from roomcast.api.schema.messages.types import Thread
from roomcast.messages import threads


@strawberry.type
class ThreadEdge:
    cursor: str
    node: threads.Thread = strawberry.field(graphql_type=Thread)


@strawberry.type
class ThreadConnection:
    edges: list[Edge] = strawberry.field(graphql_type=list[ThreadEdge])
    nodes: list[threads.Thread] = strawberry.field(graphql_type=list[Thread])
    page_info: PageInfo
