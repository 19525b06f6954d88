"""Durable sends over HTTP to one server process. Each connection waits for its response before it sends again."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import httpx

from bench.databases import KINDS, Databases, open_databases
from bench.fanout import BODY, SEND, execute, sign_up_with_room
from bench.http_client import cpu_milliseconds, encode_post, open_connection
from bench.rounds import alternate
from bench.servers import ServerProcess, baseline, roomcast
from bench.table import Row
from roomcast.core.db import driver_url

CONNECTIONS = 16
SPREADS = {"one hot room": 1, f"{CONNECTIONS} rooms": CONNECTIONS}
CREATE = "mutation($name: String!) { createRoom(input: {name: $name}) { room { id } } }"
SEND_WITH_AUTHOR = SEND.replace("message { id seq }", "message { id seq author { username } }")
STOCK = "stock Strawberry with document caches and no database"


@dataclass(frozen=True, slots=True)
class Rate:
    per_second: float
    cpu_milliseconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and a request for each connection: to one room, or to a room of its own."""

    server: ServerProcess
    requests: Sequence[bytes]

    async def per_second(self, seconds: float) -> float:
        return (await self.rate(seconds)).per_second

    async def cpu_of_each(self, seconds: float) -> float:
        return (await self.rate(seconds)).cpu_milliseconds

    async def rate(self, seconds: float) -> Rate:
        """All connections send for so long."""
        await _load(self.server, self.requests, seconds / 4)
        cpu, started = self.server.cpu_seconds(), time.perf_counter()
        sent = await _load(self.server, self.requests, seconds)
        return Rate(sent / (time.perf_counter() - started), (self.server.cpu_seconds() - cpu) / sent * 1000)

    async def cpu_of_lone(self, seconds: float) -> float:
        """As `cpu_of_each`, with one connection."""
        return await cpu_milliseconds(self.server, self.requests[0], seconds)


def sends(token: str, room_ids: Sequence[str], document: str = SEND) -> list[bytes]:
    """A request for each of CONNECTIONS connections."""
    variables = [{"input": {"roomId": room_ids[n % len(room_ids)], "body": BODY}} for n in range(CONNECTIONS)]
    return [encode_post(token, document, each) for each in variables]


async def rows(*, quick: bool) -> list[Row]:
    rounds, seconds, few = (1, 0.5, 1) if quick else (3, 2.5, None)
    rows: list[Row] = []
    with open_databases() as databases, baseline("no_database") as server:
        stock = Target(server, sends("none", ["room_0"]))
        for kind in KINDS[:few]:
            for spread, rooms in list(SPREADS.items())[:few]:
                async with databases.empty(kind) as url, open_roomcast(url, rooms) as (ours, with_author):
                    rows.append(await _compare_rates(f"{kind}, {spread}", ours, stock, rounds, seconds))
                    if rooms == 1:
                        rows.append(await _compare_author(kind, with_author, ours, rounds, seconds))
                        rows.append(await _compare_lone(kind, ours, stock, rounds, seconds))
            rows.append(await _compare_with_orm(databases, kind, seconds))
    return rows


async def _compare_rates(where: str, ours: Target, stock: Target, rounds: int, seconds: float) -> Row:
    found = await alternate(rounds, partial(ours.per_second, seconds), partial(stock.per_second, seconds))
    what = f"durable sends on {where}, {CONNECTIONS} connections, against the same mutation of {STOCK}"
    return found.comparison(what, "/s", 1.0, at_least=True)


async def _compare_author(kind: str, with_author: Target, without: Target, rounds: int, seconds: float) -> Row:
    found = await alternate(rounds, partial(with_author.cpu_of_each, seconds), partial(without.cpu_of_each, seconds))
    what = f"durable sends on {kind} with the author in the payload, CPU, against without"
    return found.comparison(what, "ms", 1.1)


async def _compare_lone(kind: str, ours: Target, stock: Target, rounds: int, seconds: float) -> Row:
    found = await alternate(rounds, partial(ours.cpu_of_lone, seconds), partial(stock.cpu_of_lone, seconds))
    what = f"a lone durable send on {kind}, nobody listening, CPU, against the same mutation of {STOCK}"
    return found.comparison(what, "ms", 2)


async def _compare_with_orm(databases: Databases, kind: str, seconds: float) -> Row:
    async with databases.empty(kind) as url, databases.empty(kind) as other:
        address = driver_url(other).render_as_string(hide_password=False)
        with baseline("naive_orm", DATABASE_URL=address) as server:
            async with open_roomcast(url) as (ours, _):
                naive = Target(server, sends("none", ["room_0"]))
                found = await alternate(1, partial(ours.per_second, seconds), partial(naive.per_second, seconds))
    what = f"durable sends on {kind}, one hot room, against an ORM session per send"
    return found.comparison(what, "/s", 5, at_least=True)


@asynccontextmanager
async def open_roomcast(url: str, rooms: int = 1) -> AsyncIterator[tuple[Target, Target]]:
    """A server to send to; the second target selects the author too."""
    with roomcast(database_url=url, migrate_on_start="true") as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, first = await sign_up_with_room(http)
            more = [(await execute(http, token, CREATE, {"name": f"room {n}"}))["createRoom"] for n in range(1, rooms)]
        room_ids = [first, *(created["room"]["id"] for created in more)]
        yield Target(server, sends(token, room_ids)), Target(server, sends(token, room_ids, SEND_WITH_AUTHOR))


async def _load(server: ServerProcess, requests: Sequence[bytes], seconds: float) -> int:
    end = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_client(server.port, request, end) for request in requests)))


async def _client(port: int, request: bytes, end: float) -> int:
    sent = 0
    async with open_connection(port) as connection:
        while time.perf_counter() < end:
            answer = await connection.send(request)
            assert b'"errors":[{' not in answer.replace(b" ", b""), answer
            sent += 1
    return sent
