"""The bus over PostgreSQL: one NOTIFY channel for all topics, with one connection that listens and one that sends.

Meant for a few processes without another broker. Every NOTIFY takes a lock of the whole database at commit: frames are
therefore collected for some milliseconds and sent in one statement, outside the transactions that made them.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Never

import asyncpg

from roomcast.database_urls import read_postgres_url
from roomcast.realtime.bus.broker import WAIT_SECONDS, BrokerBackend
from roomcast.realtime.bus.incoming import IncomingQueue

CHANNEL = "roomcast"
"""One channel: with a channel per room, every NOTIFY would search the list of all channels that are listened to."""

ANNOUNCE = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"
"""One transaction: it keeps the order, and PostgreSQL delivers equal payloads once."""


class Broker(BrokerBackend):
    limit_bytes = 7_900  # a payload of NOTIFY is shorter than 8,000 bytes, and the channel name comes first
    linger_seconds = 0.005

    _publisher: "asyncpg.Connection[Any]"  # set by each session

    def __init__(self, url: str, inbox: IncomingQueue) -> None:
        super().__init__(url, inbox)
        self._address = read_postgres_url(url)

    def fit_to_limit(self, message: bytes) -> bytes:
        fitting = super().fit_to_limit(message)
        return fitting.partition(b"\n")[0] if b"\0" in fitting else fitting  # PostgreSQL stores no zero byte in text

    async def session(self) -> None:
        ended = asyncio.Event()
        async with self._open(ended) as listener, self._open(ended) as self._publisher:
            await listener.add_listener(CHANNEL, self._on_notify)
            await self.serve(self._wait_until_ended(ended), self._send_heartbeats(listener))

    async def subscribe_channels(self, channels: Collection[str]) -> None:
        self.inbox.resync(channels)  # LISTEN has been active since the session began

    async def unsubscribe_channels(self, channels: Collection[str]) -> None:
        """The incoming queue drops the frames of channels that are not joined."""

    async def send_batch(self, batch: Sequence[tuple[str, bytes]]) -> None:
        payloads = [f"{channel}\n{message.decode()}" for channel, message in batch]
        await self._publisher.execute(ANNOUNCE, CHANNEL, payloads)

    @asynccontextmanager
    async def _open(self, ended: asyncio.Event) -> "AsyncIterator[asyncpg.Connection[Any]]":
        settings = {"application_name": "roomcast bus", **self._address.options.get("server_settings", {})}
        connection = await asyncpg.connect(
            self._address.dsn, timeout=WAIT_SECONDS, command_timeout=WAIT_SECONDS, server_settings=settings
        )
        connection.add_termination_listener(lambda _: ended.set())
        try:
            yield connection
        finally:
            connection.terminate()  # a graceful close would wait for a server that may be gone

    def _on_notify(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        channel, _, message = str(payload).partition("\n")
        self.inbox.emit(channel, message.encode())

    async def _wait_until_ended(self, ended: asyncio.Event) -> Never:
        await ended.wait()
        raise ConnectionError("the server closed the connection")

    async def _send_heartbeats(self, listener: "asyncpg.Connection[Any]") -> Never:
        while True:
            await asyncio.sleep(self.heartbeat_seconds)
            await listener.execute("SELECT 1", timeout=self.heartbeat_seconds)
