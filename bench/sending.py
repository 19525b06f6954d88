"""Durable sends over HTTP: one process, several connections, each waiting for its answer before it sends again."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from bench.fanout import BODY, SEND, newcomer
from bench.servers import Running, baseline, roomcast
from bench.table import Line, Row

CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Rate:
    per_second: float
    cpu_milliseconds: float


async def lines(*, quick: bool) -> list[Row]:
    seconds = 2.0 if quick else 6.0
    ours, ceiling = await of_roomcast(seconds), await of_baseline("no_database", seconds)
    with sqlite_url() as url:
        naive = await of_baseline("naive_orm", seconds, DATABASE_URL=url)
    return [
        Line(
            what,
            f"{ours.per_second:,.0f}/s",
            f"{theirs.per_second:,.0f}/s",
            ours.per_second / theirs.per_second,
            mark,
            at_least=True,
        )
        for what, theirs, mark in (
            ("durable sends on SQLite, one hot room, against the same mutation without a database", ceiling, 0.55),
            ("durable sends on SQLite, one hot room, against an ORM session per send", naive, 5),
        )
    ]


async def of_roomcast(seconds: float, **settings: str) -> Rate:
    with roomcast(**settings) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await newcomer(http)
        return await _measure(server, room_id, token, seconds)


async def of_baseline(name: str, seconds: float, **environment: str) -> Rate:
    with baseline(name, **environment) as server:
        return await _measure(server, "room_1", "none", seconds)


@contextmanager
def sqlite_url() -> Iterator[str]:
    with TemporaryDirectory() as folder:
        yield f"sqlite+aiosqlite:///{folder}/naive.db"


async def _measure(server: Running, room_id: str, token: str, seconds: float) -> Rate:
    request = _request(room_id, token)
    await _load(server, request, 1.0)
    cpu, begun = server.cpu_seconds(), time.perf_counter()
    sent = await _load(server, request, seconds)
    return Rate(sent / (time.perf_counter() - begun), (server.cpu_seconds() - cpu) / sent * 1000)


def _request(room_id: str, token: str) -> bytes:
    variables: Any = {"input": {"roomId": room_id, "body": BODY}}
    body = json.dumps({"query": SEND, "variables": variables}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _load(server: Running, request: bytes, seconds: float) -> int:
    end = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_client(server.port, request, end) for _ in range(CONNECTIONS))))


async def _client(port: int, request: bytes, end: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    while time.perf_counter() < end:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        assert b'"errors":[]' in body.replace(b" ", b""), body
        sent += 1
    writer.close()
    return sent
