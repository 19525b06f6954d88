"""TCP connections that are spoken by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.api_clients import WAIT_SECONDS

HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: localhost\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
"""All but its end."""


class Line:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            async with asyncio.timeout(WAIT_SECONDS):
                await self.writer.drain()

    async def head(self) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def finish(self) -> bytes:
        """Say no more, and hear the rest; empty where the server has hung up before."""
        with suppress(OSError):
            self.writer.write_eof()
            return await self.rest()
        return b""

    async def rest(self) -> bytes:
        """All that comes until the server hangs up."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.read()


@asynccontextmanager
async def line(url: str, *, limit: int = 2**16) -> AsyncIterator[Line]:
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
