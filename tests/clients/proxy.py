"""A TCP proxy between client and server that can reset connections and reject new ones for a while."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

NO_LINGER = struct.pack("ii", 1, 0)
"""The SO_LINGER value with which a close sends a TCP reset. Data in flight is lost, as when a host or route fails."""


class Proxy:
    """`url` and `ws_url` are the proxy's addresses; `url` of the constructor is the server's."""

    def __init__(self, url: str) -> None:
        self._server_address = urlsplit(url)
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.rejects = False
        self.lose_answers = 0
        """How many of the next answers are lost: the connection is reset when the server has answered."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url, self.ws_url = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/graphql"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection, on both sides."""
        for writer in self._open:
            with suppress(OSError):
                connection: socket.socket = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            writer.transport.abort()
        self._open.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        if self.rejects:
            self.cut()
            return
        upstream = await asyncio.open_connection(self._server_address.hostname, self._server_address.port)
        self._open.add(upstream[1])
        for source, sink, is_answer in ((reader, upstream[1], False), (upstream[0], writer, True)):
            task = asyncio.create_task(self._copy(source, sink, is_answer=is_answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if is_answer and self.lose_answers:
                    self.lose_answers -= 1
                    self.cut()
                    return
                sink.write(data)
                await sink.drain()
        sink.close()
        self._open.discard(sink)
