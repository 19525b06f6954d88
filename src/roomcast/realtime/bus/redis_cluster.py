"""The bus over Redis Cluster: sharded pub/sub, so that a channel uses only the node that owns its slot."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Never
from urllib.parse import urlsplit

from redis.crc import key_slot

from roomcast.realtime.bus import redis
from roomcast.realtime.bus.broker import WAIT_SECONDS, BrokerBackend
from roomcast.realtime.bus.incoming import IncomingQueue


@dataclass(frozen=True, slots=True)
class Shard:
    """Slots `first` to `last` are owned by the node at `url`."""

    first: int
    last: int
    url: str


class Broker(BrokerBackend):
    """Follows the slot map. Each primary has a supervised connection of its own: the loss of one does not interrupt the
    others.

    The URL may name several nodes, separated by commas. The first one that answers is used.
    """

    def __init__(self, url: str, inbox: IncomingQueue) -> None:
        super().__init__(url, inbox)
        self._shards: list[Shard] = []
        self._nodes: dict[str, Node] = {}
        self._node_of: dict[str, Node] = {}  # where each channel is subscribed
        self._map_is_stale = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._is_connected and all(node.connected for node in self._nodes.values())

    async def disconnect(self) -> None:
        await super().disconnect()
        await self._close_nodes(self._nodes)  # the session has closed them, unless it was interrupted

    async def session(self) -> None:
        try:
            await self._refresh_map()
            await self.serve(self._follow_map())
        finally:
            self._node_of.clear()
            await self._close_nodes(self._nodes)

    async def subscribe_channels(self, channels: Collection[str]) -> None:
        for channel in channels:
            await self._assign(channel)

    async def unsubscribe_channels(self, channels: Collection[str]) -> None:
        for channel in channels:
            if home := self._node_of.pop(channel, None):
                await home.unsubscribe(channel)

    async def publish(self, channel: str, message: bytes) -> None:
        if node := self._owner(channel):
            await node.publish(channel, message)

    async def flush(self) -> int:
        return sum(await asyncio.gather(*(node.flush() for node in self._nodes.values())))

    async def send_batch(self, batch: Sequence[tuple[str, bytes]]) -> None:
        """Not used: each node sends its own batch."""

    def on_node_failure(self, error: BaseException) -> None:
        """A node has failed or refused a command: the slot map may have changed."""
        self.on_failure(error)
        self._map_is_stale.set()

    async def _follow_map(self) -> Never:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.heartbeat_seconds):
                    await self._map_is_stale.wait()
            self._map_is_stale.clear()
            await self._refresh_map()

    async def _refresh_map(self) -> None:
        """Read the slot map, then open, assign and close nodes accordingly."""
        self._shards = await self._read_map()
        urls = {shard.url for shard in self._shards}
        for url in urls - self._nodes.keys():
            self._nodes[url] = Node(url, self)
            await self._nodes[url].connect()
        for channel in list(self._subscribed):
            await self._assign(channel)
        await self._close_nodes(self._nodes.keys() - urls)

    async def _read_map(self) -> list[Shard]:
        """From the first node that answers: connected ones first, then the others, then those of the URL."""
        known = sorted(self._nodes, key=lambda url: not self._nodes[url].connected)
        failure: Exception = ConnectionError("no node of the cluster answers")
        for url in (*known, *seeds(self.url)):
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    return await read_map(url)
            except Exception as error:
                failure = error
        raise failure

    async def _close_nodes(self, urls: Collection[str]) -> None:
        for url in list(urls):
            await self._nodes[url].disconnect()
            del self._nodes[url]

    async def _assign(self, channel: str) -> None:
        home, owner = self._node_of.pop(channel, None), self._owner(channel)
        if home is not None and home is not owner:
            await home.unsubscribe(channel)
        if owner is not None:
            self._node_of[channel] = owner
            if home is not owner:
                await owner.subscribe(channel)

    def _owner(self, channel: str) -> "Node | None":
        slot = key_slot(channel.encode())
        for shard in self._shards:
            if shard.first <= slot <= shard.last:
                return self._nodes.get(shard.url)
        return None


class Node(redis.Broker):
    """The connection to one primary. The cluster broker logs its failures, once for all nodes."""

    SUBSCRIBE, UNSUBSCRIBE, PUBLISH = "SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH"
    SUBSCRIBED, UNSUBSCRIBED, MESSAGE = b"ssubscribe", b"sunsubscribe", b"smessage"

    def __init__(self, url: str, cluster: Broker) -> None:
        super().__init__(url, cluster.inbox)
        self._cluster = cluster

    def on_failure(self, error: BaseException) -> None:
        self._cluster.on_node_failure(error)

    def on_recovery(self) -> None:
        self._cluster.on_recovery()


def seeds(url: str) -> list[str]:
    """redis-cluster://user:pass@a:1,b:2/?x=y as one redis:// URL per node."""
    address = urlsplit(url.replace("-cluster://", "://", 1))
    account, at, hosts = address.netloc.rpartition("@")
    return [address._replace(netloc=f"{account}{at}{host}").geturl() for host in hosts.split(",")]


async def read_map(url: str) -> list[Shard]:
    """The owners of the slots, as the node at `url` sees them."""
    async with redis.connection(url) as connection:
        await connection.send_command("CLUSTER", "SLOTS")
        rows = await connection.read_response()
    return [Shard(first, last, _at(url, *primary[:2])) for first, last, primary, *_ in rows]


def _at(url: str, host: bytes | None, port: int) -> str:
    """`url` with another host and port. A node that does not know its own host reports none: it is the one at `url`."""
    address = urlsplit(url)
    account, at, _ = address.netloc.rpartition("@")
    name = host.decode() if host else address.hostname or ""
    name = f"[{name}]" if ":" in name else name
    return address._replace(netloc=f"{account}{at}{name}:{port}").geturl()
