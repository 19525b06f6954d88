"""Real brokers for the tests of the bus, one of each kind. Tests can stop, start and publish to them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
import nats
import redis
import redis.asyncio

from tests import servers
from tests.children import LIMIT_SECONDS, free_port
from tests.servers import Server

PublishRaw = Callable[[str, bytes], Awaitable[None]]

PER_NODE = 16384 // 3 + 1


@dataclass
class Broker:
    """`url` is that for a bus. `publish_raw` publishes any bytes on a channel, as a foreign client could."""

    name: str
    url: str
    publish_raw: PublishRaw
    servers: list[Server] = field(default_factory=list)

    async def stop(self) -> None:
        for server in self.servers:
            await asyncio.to_thread(server.stop, kill=True)

    async def start(self) -> None:
        for server in self.servers:
            await asyncio.to_thread(server.start)


@contextmanager
def memory() -> Iterator[Broker]:
    async def publish_raw(_channel: str, _message: bytes) -> None:
        """The memory broker has no publishers outside of the process."""

    yield Broker("memory", "memory://", publish_raw)


@contextmanager
def single_redis() -> Iterator[Broker]:
    with closing(servers.start_redis("PATH", "wheel")) as server:

        async def publish_raw(channel: str, message: bytes) -> None:
            async with redis.asyncio.from_url(server.url) as client:
                await client.publish(channel, message)

        yield Broker("redis", server.url, publish_raw, [server])


@contextmanager
def redis_cluster() -> Iterator[Broker]:
    with ExitStack() as stack:
        nodes = [stack.enter_context(closing(cluster_node())) for _ in range(3)]
        form_cluster(nodes)

        async def publish_raw(channel: str, message: bytes) -> None:
            async with redis.asyncio.RedisCluster.from_url(nodes[0].url) as client:
                await client.spublish(channel, message)

        yield Broker("redis-cluster", nodes[0].url.replace("redis", "redis-cluster"), publish_raw, nodes)


@contextmanager
def postgres() -> Iterator[Broker]:
    with closing(servers.start_postgres("PATH", "wheel")) as server:

        async def publish_raw(channel: str, message: bytes) -> None:
            connection = await asyncpg.connect(server.url)
            payload = f"{channel}\n{message.decode(errors='replace')}"
            await connection.execute("SELECT pg_notify('roomcast', $1)", payload)
            await connection.close()

        yield Broker("postgresql", server.url.replace("postgresql", "postgresql+asyncpg"), publish_raw, [server])


@contextmanager
def single_nats() -> Iterator[Broker]:
    with closing(servers.start_nats("PATH")) as server:

        async def publish_raw(channel: str, message: bytes) -> None:
            async with await nats.connect(server.url) as client:
                await client.publish(channel, message)
                await client.flush()

        yield Broker("nats", server.url, publish_raw, [server])


KINDS = {
    "memory": memory,
    "redis": single_redis,
    "redis-cluster": redis_cluster,
    "postgresql": postgres,
    "nats": single_nats,
}


# ------------------------------------------------------------------ a cluster of three


def cluster_node() -> Server:
    flags = f"--cluster-enabled yes --cluster-port {free_port()} --cluster-node-timeout 2000"
    return servers.start(replace(servers.REDIS, command=f"{servers.REDIS.command} {flags}"), "PATH", "wheel")


def form_cluster(nodes: list[Server]) -> None:
    clients: list[Any] = [redis.Redis.from_url(node.url) for node in nodes]
    for number, client in enumerate(clients):
        first = number * PER_NODE
        client.execute_command("CLUSTER ADDSLOTSRANGE", first, min(first + PER_NODE, 16384) - 1)
        client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        port = client.connection_pool.connection_kwargs["port"]
        cluster_port = client.config_get("cluster-port")["cluster-port"]
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", port, cluster_port)
    for client in clients:
        wait_until_whole(client)
        client.close()


def wait_until_whole(client: Any) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while len(client.execute_command("CLUSTER SLOTS")) < 3:
        if time.monotonic() > deadline:
            raise TimeoutError("the cluster did not form")
        time.sleep(0.02)
