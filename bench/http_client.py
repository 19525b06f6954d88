"""GraphQL over HTTP keep-alive connections. Cheap, because the load shares the machine with the server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.servers import ServerProcess


def encode_post(token: str | None, query: str, variables: Any = None, path: str = "/graphql") -> bytes:
    """The bytes of one GraphQL request."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    return post_bytes(path, body, f"Authorization: Bearer {token}\r\n" if token else "")


def get_bytes(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post_bytes(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class HttpConnection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, request: bytes) -> bytes:
        """Send the request and return the body of the response, which must be a success. One at a time."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 2"), head
        if b"transfer-encoding: chunked" in head:
            return b"".join([chunk async for chunk in self._chunks()])
        _, _, length = head.partition(b"content-length: ")
        return await self._reader.readexactly(int(length.split(b"\r\n")[0] or 0))

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()


@asynccontextmanager
async def open_connection(port: int) -> AsyncIterator[HttpConnection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield HttpConnection(reader, writer)
    finally:
        writer.close()


async def cpu_milliseconds(server: ServerProcess, request: bytes, seconds: float) -> float:
    """The server's CPU for each request, while one connection sends it again and again after a warm-up."""
    async with open_connection(server.port) as connection:
        await _repeat(connection, request, seconds / 4)
        cpu = server.cpu_seconds()
        count = await _repeat(connection, request, seconds)
        return (server.cpu_seconds() - cpu) / count * 1000


async def _repeat(connection: HttpConnection, request: bytes, seconds: float) -> int:
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        await connection.send(request)
        count += 1
    return count
