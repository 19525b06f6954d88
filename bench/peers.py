"""roomcast beside graphql-yoga on Node and PocketBase: the same work on the same machine.

Each part is compared in turns: sends of 16 connections at once, a page of 50 messages, and deliveries to many listeners
with the sends included.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import pocketbase
from bench.fanout import DOCUMENT, Audience, Receivers, send_request, subscribe_many
from bench.http_client import cpu_milliseconds
from bench.pages import FilledServer, check_equal_answers, filled_server
from bench.rounds import alternate
from bench.sending import CONNECTIONS, Target
from bench.servers import ServerProcess, reason_without_yoga, yoga
from bench.table import NotMeasured, Row


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat server with a room to send to. `page` asks for the newest 50 messages of another room."""

    server: ServerProcess
    send: bytes
    page: bytes
    listen: Callable[[int], Awaitable[Receivers]]

    async def page_cost(self, seconds: float) -> float:
        return await cpu_milliseconds(self.server, self.page, seconds)

    async def send_cost(self, seconds: float) -> float:
        return await Target(self.server, [self.send] * CONNECTIONS).cpu_of_each(seconds)

    async def audience(self, listeners: int) -> Audience:
        return Audience(self.server, await self.listen(listeners), self.send)


@dataclass(frozen=True, slots=True)
class Peer:
    """`reason_without`: why it cannot run here. None if it can."""

    name: str
    reason_without: str | None
    open: Callable[[FilledServer], AbstractAsyncContextManager[Chat]]
    page_mark: float | None


async def rows(*, quick: bool) -> list[Row]:
    peers = (
        Peer("graphql-yoga with graphql-jit and better-sqlite3 on Node", reason_without_yoga(), _open_yoga, 1),
        Peer("PocketBase, which does not sync its commits", pocketbase.reason_without(), _open_pocketbase, None),
    )
    rows: list[Row] = []
    async with filled_server() as filled:
        ours = _roomcast(filled)
        for peer in peers:
            if peer.reason_without is not None:
                rows.append(NotMeasured(f"beside {peer.name}", peer.reason_without, has_failed=False))
                continue
            async with peer.open(filled) as theirs:
                rows += await _compare(peer, ours, theirs, quick)
    return rows


async def _compare(peer: Peer, ours: Chat, theirs: Chat, quick: bool) -> list[Row]:
    rounds, seconds, listeners, events = (1, 0.3, 50, 5) if quick else (5, 2.0, 500, 60)
    pages = await alternate(rounds, partial(ours.page_cost, seconds), partial(theirs.page_cost, seconds))
    sends = await alternate(rounds, partial(ours.send_cost, seconds), partial(theirs.send_cost, seconds))
    audiences = await ours.audience(listeners), await theirs.audience(listeners)
    deliveries = await alternate(rounds, *(partial(audience.cost, events) for audience in audiences))
    for audience in audiences:
        for client in audience.receivers.clients:
            client.transport.abort()
    page = "page of 50 messages with author, avatar, reactions, reply"
    return [
        deliveries.comparison(
            f"fan-out to {listeners}, CPU per delivery, sends included, against {peer.name}", "µs", 1
        ),
        sends.comparison(f"durable sends of {CONNECTIONS} connections, CPU of each, against {peer.name}", "ms", 1),
        pages.comparison(f"{page}, CPU, against {peer.name}", "ms", peer.page_mark),
    ]


def _roomcast(filled: FilledServer) -> Chat:
    variables = {"roomId": filled.other_room_id}

    async def listen(listeners: int) -> Receivers:
        return await subscribe_many(filled.server, listeners, DOCUMENT, variables, filled.token)

    return Chat(filled.server, send_request(filled.token, filled.other_room_id), filled.page_request(), listen)


@asynccontextmanager
async def _open_yoga(filled: FilledServer) -> AsyncIterator[Chat]:
    with TemporaryDirectory() as folder, yoga(STORE=str(Path(folder) / "yoga.db"), **filled.environment) as server:

        async def listen(listeners: int) -> Receivers:
            return await subscribe_many(server, listeners, DOCUMENT, {"roomId": "room_1"}, None)

        await check_equal_answers((filled.server, filled.page_request()), (server, filled.page_request()))
        yield Chat(server, send_request(filled.token, "room_1"), filled.page_request(), listen)


@asynccontextmanager
async def _open_pocketbase(_filled: FilledServer) -> AsyncIterator[Chat]:
    async with pocketbase.pocketbase() as (server, send):
        yield Chat(server, send, pocketbase.PAGE, partial(pocketbase.listen, server))
