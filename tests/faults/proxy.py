"""A TCP proxy in front of PostgreSQL that reads its wire protocol and injects a fault at a chosen message.

Arm it with a `Fault`. At the n-th message of the chosen side from then on, counted over all connections, the proxy
cuts, mutes or stalls the connection, or runs a callback before it forwards the message. Without a fault it only
forwards.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104

REPEATED = frozenset("DSN")
"""DataRow, ParameterStatus and NoticeResponse: consecutive messages of one of these types count as one."""

ROUND_TRIPS = frozenset("QSH")
"""Query, Sync and Flush: the frontend messages after which the client waits for a response."""


class Side(StrEnum):
    BACKEND = "backend"
    FRONTEND = "frontend"


class Kind(StrEnum):
    CUT = "cut"
    """Reset both connections; the message is lost."""
    MUTE = "mute"
    """Drop this message and all later ones of the connection, in both directions. It stays open."""
    STALL = "stall"
    """Delay this message and those behind it by `stall_seconds`."""
    CALL = "call"
    """Run `on_fault` to its end, then forward the message."""


@dataclass(frozen=True)
class Fault:
    kind: Kind
    side: Side
    index: int
    types: frozenset[str] | None = None
    """The message types that count; None: all of them."""

    def __str__(self) -> str:
        return f"{self.kind} at {self.side} message {self.index}"

    def counts(self, side: Side, type_: str) -> bool:
        return side is self.side and (self.types is None or type_ in self.types)


@dataclass(eq=False)
class Link:
    """One client connection and the server connection behind it."""

    number: int
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_muted: bool = False

    def cut(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class FaultProxy:
    """`url` is the database's address through the proxy."""

    def __init__(self, database_url: str, stall_seconds: float = 0.0) -> None:
        self._database_url, self._stall_seconds = database_url, stall_seconds
        self._fault: Fault | None = None
        self._on_fault: Callable[[], Awaitable[None]] | None = None
        self._matched = 0
        self._accepted = 0
        self._links: set[Link] = set()
        self.muted: set[Side] = set()
        """Directions whose messages are dropped on all connections while they are in this set."""
        self.fired: str | None = None
        """The message at which the armed fault has fired."""
        self.trace: list[str] = []
        self.url = ""

    def arm(self, fault: Fault | None, on_fault: Callable[[], Awaitable[None]] | None = None) -> None:
        """Set the fault and start counting at 0. With None nothing fails; `trace` still records the messages."""
        self._fault, self._on_fault, self._matched = fault, on_fault, 0
        self.fired, self.trace = None, []

    def cut_all(self) -> None:
        for link in list(self._links):
            link.cut()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        parts = urlsplit(self._database_url)
        self.url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
        try:
            yield self
        finally:
            server.close()
            self.cut_all()
            while self._links:  # noqa: ASYNC110 (each link removes itself)
                await asyncio.sleep(0.001)

    # ------------------------------------------------------------------ connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self._database_url)
        try:
            server_reader, server_writer = await asyncio.open_connection(parts.hostname, parts.port)
        except OSError:
            writer.transport.abort()
            return
        self._accepted += 1
        link = Link(self._accepted, writer, server_writer)
        self._links.add(link)
        pumps = [
            asyncio.ensure_future(self._pump(link, Side.FRONTEND, reader)),
            asyncio.ensure_future(self._pump(link, Side.BACKEND, server_reader)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (writer, server_writer):
                end.close()
            self._links.discard(link)

    async def _pump(self, link: Link, side: Side, reader: asyncio.StreamReader) -> None:
        """Forward until one end closes. Then close the other, also on a muted connection."""
        previous = ""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            if side is Side.FRONTEND:
                link.server.write(await _startup(reader, link.client))
            while True:
                type_, frame = await _frame(reader)
                is_repeated = type_ in REPEATED and type_ == previous
                previous = type_
                if not is_repeated:
                    await self._pass(link, side, type_, frame)
                if not link.is_muted and side not in self.muted:
                    (link.server if side is Side.FRONTEND else link.client).write(frame)

    async def _pass(self, link: Link, side: Side, type_: str, frame: bytes) -> None:
        """Count a message, and inject the fault if it is the chosen one."""
        message = f"{side} {link.number} {describe(side, type_, frame)}"
        self.trace.append(message)
        fault = self._fault
        if fault is None or self.fired is not None or not fault.counts(side, type_):
            return
        self._matched += 1
        if self._matched == fault.index:
            self.fired = message
            await self._fail(link, fault.kind)

    async def _fail(self, link: Link, kind: Kind) -> None:
        if kind is Kind.CUT:
            link.cut()
            raise ConnectionResetError
        if kind is Kind.MUTE:
            link.is_muted = True
        elif kind is Kind.STALL:
            await asyncio.sleep(self._stall_seconds)
        elif self._on_fault is not None:
            await self._on_fault()


# ------------------------------------------------------------------ the wire format


async def _startup(reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> bytes:
    """The first message of a client. Requests for encryption are declined, so that the proxy can read the rest."""
    while True:
        head = await reader.readexactly(8)
        length, code = struct.unpack("!II", head)
        if code not in (SSL_REQUEST, GSS_REQUEST):
            return head + await reader.readexactly(length - 8)
        client.write(b"N")


async def _frame(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = await reader.readexactly(5)
    length = int.from_bytes(head[1:], "big")
    return chr(head[0]), head + await reader.readexactly(length - 4)


def describe(side: Side, type_: str, frame: bytes) -> str:
    """A readable form of a message: its type, and its statement or command tag."""
    if (side is Side.FRONTEND and type_ == "Q") or (side is Side.BACKEND and type_ == "C"):
        return f"{type_} {frame[5:-1].decode()}"
    if side is Side.FRONTEND and type_ == "P":
        return f"{type_} {frame[5:].split(bytes(1))[1].decode()[:60]}"
    return type_
