"""A PostgreSQL proxy that stalls or cuts a connection at a chosen statement."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit


class Fault:
    """A fault of the next connection that sends `statement`. The server's responses are held back until `release`. With
    `cuts`, the connection is closed once the server has responded. With `withholds`, the server does not get the
    statement until `release`."""

    def __init__(self, statement: bytes, *, cuts: bool = False, withholds: bool = False) -> None:
        self.statement, self.cuts, self.withholds = statement, cuts, withholds
        self.is_taken = False
        self.reached = asyncio.Event()
        self._passes = asyncio.Event()

    def release(self) -> None:
        self._passes.set()

    async def passes(self) -> None:
        await self._passes.wait()


class PostgresProxy:
    """`url` leads to the database at `target`."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault: Fault | None = None
        self._flows = asyncio.Event()
        self._flows.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        account, at, _ = self._target.netloc.rpartition("@")
        self.url = self._target._replace(netloc=f"{account}{at}127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stall(self, statement: bytes) -> Fault:
        self._fault = Fault(statement)
        return self._fault

    def withhold(self, statement: bytes) -> Fault:
        self._fault = Fault(statement, withholds=True)
        return self._fault

    def cut(self, statement: bytes) -> Fault:
        self._fault = Fault(statement, cuts=True)
        return self._fault

    @asynccontextmanager
    async def mute(self) -> AsyncIterator[None]:
        """Hold back all bytes in both directions. The connections stay open."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        connection = _Connection(self)
        for step in (
            connection.to_server(reader, server_writer),
            connection.to_client(server_reader, writer),
        ):
            task = asyncio.create_task(step)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def take(self, data: bytes) -> Fault | None:
        fault = self._fault
        if fault is None or fault.is_taken or fault.statement not in data:
            return None
        fault.is_taken = True
        return fault

    async def flows(self) -> None:
        await self._flows.wait()


class _Connection:
    def __init__(self, proxy: PostgresProxy) -> None:
        self._proxy = proxy
        self._fault: Fault | None = None

    async def to_server(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self._proxy.flows()
                self._fault = self._proxy.take(data) or self._fault
                if self._fault is not None and self._fault.withholds:
                    self._fault.reached.set()
                    await self._fault.passes()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    async def to_client(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self._proxy.flows()
                if self._fault is not None:
                    self._fault.reached.set()
                    if self._fault.cuts:
                        break
                    await self._fault.passes()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()
