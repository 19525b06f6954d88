"""GraphQL types of pages of threads. `Thread` itself is in `messages.types`, because messages and threads refer to each
other."""

import strawberry

from roomcast.api.schema.connections import (
    Edge,
    PageInfo,
    edge_cursor,
    edge_node,
    page_edges,
    page_info_field,
    page_nodes,
)
from roomcast.api.schema.messages.types import Thread
from roomcast.messages import threads


@strawberry.type(description="A thread in a list.")
class ThreadEdge:
    cursor: str = edge_cursor()
    node: threads.Thread = edge_node(Thread)


@strawberry.type(description="A page of threads.")
class ThreadConnection:
    edges: list[Edge] = page_edges(ThreadEdge)
    nodes: list[threads.Thread] = page_nodes(Thread)
    page_info: PageInfo = page_info_field()
