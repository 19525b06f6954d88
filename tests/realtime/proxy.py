"""A TCP proxy between a bus and its broker that can stop forwarding without closing the connections."""

import asyncio
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """`url` leads to `target`; nothing passes while `flows` is clear."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.flows = asyncio.Event()
        self.flows.set()

    async def __aenter__(self) -> Self:
        await self.listen()
        account, separator, _ = self._target.netloc.rpartition("@")
        self.url = self._target._replace(netloc=f"{account}{separator}127.0.0.1:{self._port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def listen(self) -> None:
        """Let connections in, again after a `cut`."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End every connection, with all that is in flight, and refuse new ones."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await asyncio.open_connection(self._target.hostname, self._target.port)
        for source, sink in ((reader, server[1]), (server[0], writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self.flows.wait()
                sink.write(data)
                await sink.drain()
        finally:
            sink.close()
