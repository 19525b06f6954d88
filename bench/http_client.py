"""GraphQL over HTTP keep-alive connections. Cheap, because the load shares the machine with the server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.servers import ServerProcess


def encode_post(token: str, query: str, variables: Any, path: str = "/graphql") -> bytes:
    """The bytes of one GraphQL request."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    return post_bytes(path, body, f"Authorization: Bearer {token}\r\n")


def post_bytes(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class HttpConnection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def post(self, request: bytes) -> bytes:
        """Send the request and return the body of the response. One request at a time."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        return await self._reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))


@asynccontextmanager
async def open_connection(port: int) -> AsyncIterator[HttpConnection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield HttpConnection(reader, writer)
    finally:
        writer.close()


async def cpu_milliseconds(server: ServerProcess, request: bytes, seconds: float) -> float:
    """The server's CPU for each request, while one connection sends it again and again for `seconds`."""
    async with open_connection(server.port) as connection:
        await connection.post(request)
        cpu, end, count = server.cpu_seconds(), time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            await connection.post(request)
            count += 1
        return (server.cpu_seconds() - cpu) / count * 1000
