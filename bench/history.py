"""Pages of history and searches on a server with a million messages; pages are compared with those of small rooms.

Each figure is the median duration of HTTP requests. Compared requests alternate.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

import httpx

from bench.databases import KINDS, Databases, open_databases
from bench.fanout import execute, sign_up
from bench.filling import LONG_WORD, SHORT_WORD, analyze, fill, open_database, row_id
from bench.http_client import HttpConnection, encode_post, open_connection
from bench.servers import roomcast
from bench.table import Comparison, Measurement, Row
from roomcast.core.paging import write_cursor

HISTORY = (
    "query History($roomId: ID!, $before: String) { messages(roomId: $roomId, last: 50, before: $before) { "
    "edges { cursor node { id seq body createdAt author { id username } reactions { emoji count } "
    "thread { replyCount } } } pageInfo { hasNextPage hasPreviousPage } streamCursor } }"
)
CREATE = "mutation($input: CreateRoomInput!) { createRoom(input: $input) { errors { code path } room { id } } }"
SEARCH = (
    "query Search($query: String!) { searchMessages(query: $query, first: 50) { edges { cursor snippetHtml "
    "node { id body } } pageInfo { hasNextPage } } }"
)
TOTALS = "{ me { totalUnread totalMentions } }"
SMALL_ROOM_MESSAGES = 1_000
"""Messages in each room except the large one."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """`findable`: messages of the large room in the search index."""

    messages: int
    findable: int
    rooms: int
    rounds: int


FULL, QUICK = Sizes(1_000_000, 200_000, 200, 150), Sizes(10_000, 5_000, 10, 10)


@dataclass(frozen=True, slots=True)
class FilledServer:
    """A server with all data. `token`: of a user in all rooms who has read nothing."""

    port: int
    token: str
    large_room: str
    small_room: str
    sizes: Sizes


async def rows(*, quick: bool) -> list[Row]:
    sizes = QUICK if quick else FULL
    rows: list[Row] = []
    with open_databases() as databases:
        for kind in KINDS:
            async with filled_server(databases, kind, sizes) as server:
                rows += [*await _compare_with_small(server, kind), *await _measure_searches(server, kind)]
    return rows


async def _compare_with_small(server: FilledServer, kind: str) -> list[Row]:
    messages = server.sizes.messages
    rows: list[Row] = []
    for label, requests in (
        (f"the newest page of {messages:,} messages", _pages(server, None, None)),
        ("a page in their middle", _pages(server, messages // 2, SMALL_ROOM_MESSAGES // 2)),
    ):
        figure, baseline = await _milliseconds(server, *requests)
        what = f"{kind}: {label}, against {SMALL_ROOM_MESSAGES:,}"
        rows.append(Comparison(what, f"{figure:.1f} ms", f"{baseline:.1f} ms", figure / baseline, 1.1))
    return rows


async def _measure_searches(server: FilledServer, kind: str) -> list[Row]:
    sizes = server.sizes
    short = encode_post(server.token, SEARCH, {"query": SHORT_WORD})
    [figure] = await _milliseconds(server, short)
    what = f"{kind}: search for a word of two letters among {sizes.findable:,} messages"
    rows: list[Row] = [Comparison(what, f"{figure:.1f} ms", "1 ms", figure, 4)]
    for label, request in (
        ("search for the middle of a word", encode_post(server.token, SEARCH, {"query": LONG_WORD[2:-2]})),
        (f"total unread counts of {sizes.rooms} rooms", encode_post(server.token, TOTALS, None)),
    ):
        [figure] = await _milliseconds(server, request)
        rows.append(Measurement(f"{kind}: {label}", f"{figure:.1f} ms"))
    return rows


def _pages(server: FilledServer, *befores: int | None) -> tuple[bytes, ...]:
    """Requests for a page of the large room and one of the small room, each before the given seq."""
    cursors = [None if before is None else write_cursor("messages", (before,)) for before in befores]
    return tuple(
        encode_post(server.token, HISTORY, {"roomId": room_id, "before": cursor})
        for room_id, cursor in zip((server.large_room, server.small_room), cursors, strict=True)
    )


async def _milliseconds(server: FilledServer, *requests: bytes) -> list[float]:
    """The median duration of each request. The requests alternate."""
    took: list[list[float]] = []
    async with open_connection(server.port) as connection:
        for _ in range(server.sizes.rounds):
            took.append([await _timed(connection, request) for request in requests])
    return [median(times) for times in zip(*took, strict=True)]


async def _timed(connection: HttpConnection, request: bytes) -> float:
    started = time.perf_counter()
    answer = await connection.send(request)
    took = (time.perf_counter() - started) * 1000
    assert b'"errors"' not in answer, answer
    assert b'"edges":[]' not in answer, answer
    return took


# ------------------------------------------------------------------ filling the server


@asynccontextmanager
async def filled_server(databases: Databases, kind: str, sizes: Sizes) -> AsyncIterator[FilledServer]:
    """A server with most messages in one room, and SMALL_ROOM_MESSAGES in each of the others."""
    async with databases.empty(kind) as url:
        with roomcast(database_url=url, migrate_on_start="true") as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
                tokens = [await sign_up(http, number) for number in range(2)]
                author, reader = [await _user_id(http, token) for token in tokens]
                room_ids = [await _create_room(http, tokens[0], number, reader) for number in range(sizes.rooms)]
            await _fill(url, author, room_ids, sizes)
            yield FilledServer(server.port, tokens[1], room_ids[-1], room_ids[0], sizes)


async def _user_id(http: httpx.AsyncClient, token: str) -> str:
    return str((await execute(http, token, "{ me { user { id } } }"))["me"]["user"]["id"])


async def _create_room(http: httpx.AsyncClient, token: str, number: int, member_id: str) -> str:
    values = {"name": f"room {number}", "memberIds": [member_id]}
    created = (await execute(http, token, CREATE, {"input": values}))["createRoom"]
    assert created["errors"] == [], created
    return str(created["room"]["id"])


async def _fill(url: str, author: str, room_ids: list[str], sizes: Sizes) -> None:
    author_id = row_id("user", author)
    *small, large = [row_id("room", room_id) for room_id in room_ids]
    async with open_database(url) as db:
        for room_id in small:
            await fill(db, room_id, author_id, SMALL_ROOM_MESSAGES)
        await fill(db, large, author_id, sizes.messages - sizes.findable)
        await fill(db, large, author_id, sizes.findable, findable=True)
        await analyze(db)
