"""Connections as in Relay's cursor specification, with `nodes` as a shortcut for clients that need no cursors."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import strawberry

from roomcast.core.paging import Page


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


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
