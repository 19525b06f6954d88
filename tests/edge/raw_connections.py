"""Raw TCP connections to the server, for requests that no HTTP client sends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.api_clients import WAIT_SECONDS

HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: localhost\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
"""The request without the empty line that ends it."""


class RawConnection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            async with asyncio.timeout(WAIT_SECONDS):
                await self.writer.drain()

    async def read_head(self) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def finish(self) -> bytes:
        """Send EOF and read the rest; empty where the server has already closed the connection."""
        with suppress(OSError):
            self.writer.write_eof()
            return await self.read_rest()
        return b""

    async def read_rest(self) -> bytes:
        """Read until the server closes the connection."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.read()


@asynccontextmanager
async def raw_connection(url: str, *, limit: int = 2**16) -> AsyncIterator[RawConnection]:
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
