"""Connections as in Relay's cursor specification, with `nodes` as a shortcut for clients that need no cursors."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import strawberry

from roomcast.core.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Page

First: TypeAlias = Annotated[
    int | None,
    strawberry.argument(
        description=f"How many items, counted from the start of the list or from `after`: 1 to {MAX_PAGE_SIZE}. "
        f"A page has {DEFAULT_PAGE_SIZE} items if no size is given."
    ),
]
After: TypeAlias = Annotated[
    str | None,
    strawberry.argument(description="Only items after this one: the `endCursor` of a page, or the cursor of an edge."),
]
Last: TypeAlias = Annotated[
    int | None,
    strawberry.argument(
        description=f"How many items, counted from the end of the list or from `before`: 1 to {MAX_PAGE_SIZE}. "
        "It cannot be combined with `first`."
    ),
]
Before: TypeAlias = Annotated[
    str | None,
    strawberry.argument(
        description="Only items before this one: the `startCursor` of a page, or the cursor of an edge."
    ),
]


@strawberry.type(description="Where a page is in its list, and whether there is more.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there are items after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there are items before this page.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first item, for `before`. Null if the page is empty."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last item, for `after`. Null if the page is empty."
    )


def edge_cursor() -> Any:
    """The field `cursor` of an edge."""
    return strawberry.field(description="The position of this item in its list, for `after` and `before`.")


def edge_node(node_type: Any) -> Any:
    """The field `node` of an edge."""
    return strawberry.field(graphql_type=node_type, description="The item itself.")


def page_edges(edge_type: Any) -> Any:
    """The field `edges` of a connection."""
    return strawberry.field(graphql_type=list[edge_type], description="The items of this page with their cursors.")


def page_nodes(node_type: Any) -> Any:
    """The field `nodes` of a connection."""
    return strawberry.field(graphql_type=list[node_type], description="The items of this page, without cursors.")


def page_info_field() -> Any:
    """The field `pageInfo` of a connection."""
    return strawberry.field(description="Where this page is in its list.")


@dataclass(frozen=True, slots=True)
class Edge:
    cursor: str
    node: Any


@dataclass(frozen=True, slots=True)
class ConnectionPage:
    """The page behind every GraphQL connection type. `count` is called only if totalCount is selected."""

    edges: list[Edge]
    page_info: PageInfo
    count: Callable[[], Awaitable[int]] | None = None
    stream_cursor: str | None = None

    @property
    def nodes(self) -> list[Any]:
        return [edge.node for edge in self.edges]

    async def total_count(self) -> int:
        if self.count is None:
            raise LookupError("this connection has no total count")
        return await self.count()


def connection_of(
    page: Page[Any],
    node: Callable[..., Any] = lambda row: row,
    count: Callable[[], Awaitable[int]] | None = None,
    stream_cursor: str | None = None,
) -> ConnectionPage:
    """A connection with the rows of a page. `node` maps the columns of a row to the node of its edge."""
    edges = [Edge(cursor, node(*row)) for cursor, row in zip(page.cursors, page.rows, strict=True)]
    info = PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return ConnectionPage(edges, info, count, stream_cursor)
