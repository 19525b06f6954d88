"""The bus over Redis or Valkey: pub/sub on one connection, batches in one round trip on another."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Never

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from roomcast.realtime.bus.broker import WAIT_SECONDS, BrokerBackend
from roomcast.realtime.bus.incoming import IncomingQueue


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Connection]:
    """An open connection. Accepts every URL and option of redis-py.

    It never reconnects by itself: that would hide a gap, and every gap must become a resync.
    """
    pool: Any = ConnectionPool.from_url(
        url,
        protocol=3,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=None,  # waits are limited in this module, around whole exchanges
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    made = pool.make_connection()
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await made.connect()
        yield made
    finally:
        await made.disconnect(nowait=True)


class Broker(BrokerBackend):
    SUBSCRIBE, UNSUBSCRIBE, PUBLISH = "SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH"
    SUBSCRIBED, UNSUBSCRIBED, MESSAGE = b"subscribe", b"unsubscribe", b"message"

    _subscriber: Connection  # both are set by each session
    _publisher: Connection

    def __init__(self, url: str, inbox: IncomingQueue) -> None:
        super().__init__(url, inbox)
        self._unsubscribing: Counter[str] = Counter()
        self._last_read_at = 0.0

    async def session(self) -> None:
        self._unsubscribing.clear()
        async with connection(self.url) as self._subscriber, connection(self.url) as self._publisher:
            await self.serve(self._listen(), self._send_heartbeats())

    async def subscribe_channels(self, channels: Collection[str]) -> None:
        await self._command(self.SUBSCRIBE, channels)

    async def unsubscribe_channels(self, channels: Collection[str]) -> None:
        self._unsubscribing.update(channels)
        await self._command(self.UNSUBSCRIBE, channels)

    async def send_batch(self, batch: Sequence[tuple[str, bytes]]) -> None:
        commands = ((self.PUBLISH, channel, message) for channel, message in batch)
        try:
            await self._publisher.send_packed_command(self._publisher.pack_commands(commands))
            for _ in batch:
                await self._publisher.read_response(timeout=math.inf)  # `flush` limits the time of the batch
        except BaseException:
            # Answers that arrive later would be taken for those of the next batch. The next command reconnects.
            await self._publisher.disconnect(nowait=True)
            raise

    async def _command(self, name: str, channels: Iterable[str]) -> None:
        # One command per channel, in one write: in a cluster, the channels of a node may have different slots, which
        # one command must not mix.
        commands = self._subscriber.pack_commands([(name, channel) for channel in channels])
        await self._subscriber.send_packed_command(commands)

    async def _listen(self) -> Never:
        clock = asyncio.get_running_loop().time
        while True:
            self._last_read_at = clock()
            answer = await self._subscriber.read_response(
                disable_decoding=True, push_request=True, timeout=math.inf, disconnect_on_error=False
            )
            if isinstance(answer, list) and len(answer) == 3:
                self._on_message(*answer)

    def _on_message(self, kind: bytes, channel: bytes, payload: bytes) -> None:
        if kind == self.MESSAGE:
            self.inbox.emit(channel.decode(), payload)
        elif kind == self.SUBSCRIBED:
            self.inbox.resync([channel.decode()])
        elif kind == self.UNSUBSCRIBED:
            name = channel.decode()
            # Not requested by us: the slot has moved to another node of the cluster.
            if not self._unsubscribing[name]:
                raise ConnectionError(f"the server ended the subscription to {name}")
            self._unsubscribing[name] -= 1

    async def _send_heartbeats(self) -> Never:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self.heartbeat_seconds)
            if clock() - self._last_read_at > 2 * self.heartbeat_seconds:
                raise TimeoutError(f"the server has sent nothing for {2 * self.heartbeat_seconds:g} seconds")
            async with asyncio.timeout(self.heartbeat_seconds):
                await self._subscriber.send_command("PING")
