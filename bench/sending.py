"""Durable sends over HTTP: one server process, several connections. Each connection waits for its response before it
sends again."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from bench.databases import KINDS, Databases, open_databases
from bench.fanout import BODY, SEND, execute, sign_up_with_room
from bench.http_client import encode_post, open_connection
from bench.servers import ServerProcess, baseline, roomcast
from bench.table import Comparison, Row
from roomcast.core.db import driver_url

CONNECTIONS = 16
SPREADS = {"one hot room": 1, f"{CONNECTIONS} rooms": CONNECTIONS}
CREATE = "mutation($name: String!) { createRoom(input: {name: $name}) { room { id } } }"


@dataclass(frozen=True, slots=True)
class Rate:
    per_second: float
    cpu_milliseconds: float

    def text(self) -> str:
        return f"{self.per_second:,.0f}/s, {self.cpu_milliseconds:.2f} ms of CPU each"


async def rows(*, quick: bool) -> list[Row]:
    """Each database, one room and many rooms, compared with no database and with a plain ORM session."""
    seconds = 1.0 if quick else 6.0
    with open_databases() as databases:
        return [
            row
            for kind in KINDS
            for spread, rooms in SPREADS.items()
            for row in await _compare(databases, kind, spread, rooms, seconds)
        ]


async def _compare(databases: Databases, kind: str, spread: str, rooms: int, seconds: float) -> list[Row]:
    ceiling = await measure_no_database(seconds)
    async with databases.empty(kind) as url:
        ours = await measure_roomcast(url, rooms, seconds)
    async with databases.empty(kind) as url:
        naive = await measure_naive_orm(url, rooms, seconds)
    what = f"durable sends on {kind}, {spread}, against"
    return [
        Comparison(
            f"{what} {other}", ours.text(), base.text(), ours.per_second / base.per_second, target, at_least=True
        )
        for other, base, target in (
            (
                "the same mutation of stock Strawberry (which validates each document again) without a database",
                ceiling,
                0.55,
            ),
            ("an ORM session per send", naive, 5),
        )
    ]


async def measure_roomcast(url: str, rooms: int, seconds: float) -> Rate:
    """All connections send to one room, or each to a room of its own."""
    with roomcast(database_url=url, migrate_on_start="true") as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, first = await sign_up_with_room(http)
            more = [(await execute(http, token, CREATE, {"name": f"room {n}"}))["createRoom"] for n in range(1, rooms)]
        return await _measure(server, token, [first, *(created["room"]["id"] for created in more)], seconds)


async def measure_naive_orm(url: str, rooms: int, seconds: float) -> Rate:
    address = driver_url(url).render_as_string(hide_password=False)
    with baseline("naive_orm", DATABASE_URL=address) as server:
        return await _measure(server, "none", [f"room_{number}" for number in range(rooms)], seconds)


async def measure_no_database(seconds: float) -> Rate:
    with baseline("no_database") as server:
        return await _measure(server, "none", ["room_0"], seconds)


async def _measure(server: ServerProcess, token: str, room_ids: Sequence[str], seconds: float) -> Rate:
    variables = [{"input": {"roomId": room_ids[n % len(room_ids)], "body": BODY}} for n in range(CONNECTIONS)]
    requests = [encode_post(token, SEND, each) for each in variables]
    await _load(server, requests, seconds / 4)
    cpu, started = server.cpu_seconds(), time.perf_counter()
    sent = await _load(server, requests, seconds)
    return Rate(sent / (time.perf_counter() - started), (server.cpu_seconds() - cpu) / sent * 1000)


async def _load(server: ServerProcess, requests: Sequence[bytes], seconds: float) -> int:
    end = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_client(server.port, request, end) for request in requests)))


async def _client(port: int, request: bytes, end: float) -> int:
    sent = 0
    async with open_connection(port) as connection:
        while time.perf_counter() < end:
            answer = await connection.post(request)
            assert b'"errors":[]' in answer.replace(b" ", b""), answer
            sent += 1
    return sent
