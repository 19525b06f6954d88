"""TCP connections that are spoken by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.house import House
from tests.people import WAIT_SECONDS


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

    async def rest(self) -> bytes:
        """All that comes until the server hangs up."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.read()


@asynccontextmanager
async def line(house: House, *, limit: int = 2**16) -> AsyncIterator[Line]:
    port = int(house.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    yield Line(reader, writer)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
