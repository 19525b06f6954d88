"""Faults of a cluster that last some seconds. Each function returns after its repair; only a failover loses commits."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg

from tests.delivery.resuming_clients import FULL
from tests.faults.cluster import Cluster, HeldLink, frozen, replica_of, server_pid
from tests.faults.proxy import Side

Nemesis = Callable[[Cluster, float], Coroutine[Any, Any, None]]

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
SKEW_SECONDS = 45


async def freeze_postgres(cluster: Cluster, seconds: float) -> None:
    async with frozen(server_pid(cluster.postgres)):
        await asyncio.sleep(seconds)


async def freeze_redis(cluster: Cluster, seconds: float) -> None:
    async with frozen(server_pid(cluster.redis)):
        await asyncio.sleep(seconds)


async def freeze_a_process(cluster: Cluster, seconds: float) -> None:
    child = cluster.processes[1]._child
    assert child is not None
    async with frozen(child.pid):
        await asyncio.sleep(seconds)


async def hold_answers_of_postgres(cluster: Cluster, seconds: float) -> None:
    """PostgreSQL gets the requests of one process, which gets no responses."""
    with cluster.database_links[1].holding(Side.BACKEND):
        await asyncio.sleep(seconds)


async def hold_requests_to_postgres(cluster: Cluster, seconds: float) -> None:
    with cluster.database_links[1].holding(Side.FRONTEND):
        await asyncio.sleep(seconds)


async def hold_answers_of_redis(cluster: Cluster, seconds: float) -> None:
    """One process can publish, but receives nothing."""
    with cluster.redis_links[1].holding(Side.BACKEND):
        await asyncio.sleep(seconds)


async def hold_requests_to_redis(cluster: Cluster, seconds: float) -> None:
    """One process receives, but what it publishes arrives late."""
    with cluster.redis_links[1].holding(Side.FRONTEND):
        await asyncio.sleep(seconds)


async def cut_redis(cluster: Cluster, seconds: float) -> None:
    """One process has no bus: what it publishes is lost, and it receives nothing."""
    with cluster.redis_links[1].down():
        await asyncio.sleep(seconds)


async def terminate_backends(cluster: Cluster, seconds: float) -> None:
    """Terminate all database connections, every half second."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        await cluster.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0.5)


async def kill_a_process(cluster: Cluster, seconds: float) -> None:
    await cluster.processes[1].kill()
    await asyncio.sleep(seconds)
    await cluster.processes[1].start()


async def kill_a_process_with_unsent_frames(cluster: Cluster, seconds: float) -> None:
    """The process acknowledges its commits, but the events that it publishes are held back and lost with it."""
    link = cluster.redis_links[1]
    with link.holding(Side.FRONTEND):
        await asyncio.sleep(seconds * 2 / 3)
        await cluster.processes[1].kill()
        link.cut_all()
    await cluster.processes[1].start()


async def kill_postgres(cluster: Cluster, seconds: float) -> None:
    await asyncio.to_thread(cluster.postgres.stop, kill=True)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(cluster.postgres.start)


async def skew_a_clock(cluster: Cluster, seconds: float) -> None:
    """Restart one process with a clock that is ahead; in the long form then with one that is behind."""
    skews = [f"+{SKEW_SECONDS}s", f"-{SKEW_SECONDS}s"] if FULL else [f"+{SKEW_SECONDS}s"]
    process = cluster.processes[1]
    usual = process.environment
    for skew in skews:
        await process.kill()
        fake = {"LD_PRELOAD": str(FAKETIME[0]), "FAKETIME": skew, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        process.environment = usual | fake
        await process.start()
        await asyncio.sleep(seconds / len(skews))
    process.environment = usual
    await process.kill()
    await process.start()


NEMESES: dict[str, Nemesis] = {
    nemesis.__name__.replace("_", " "): nemesis
    for nemesis in (
        freeze_postgres,
        freeze_redis,
        freeze_a_process,
        hold_answers_of_postgres,
        hold_requests_to_postgres,
        hold_answers_of_redis,
        hold_requests_to_redis,
        cut_redis,
        terminate_backends,
        kill_a_process,
        kill_a_process_with_unsent_frames,
        kill_postgres,
        skew_a_clock,
    )
}

QUIET_AT_THE_END = frozenset(
    {"freeze redis", "hold answers of redis", "cut redis", "kill a process", "kill a process with unsent frames"}
)
"""Faults during which senders stop before the repair, so that no later message reveals the last lost one."""


async def fail_over(cluster: Cluster, seconds: float) -> None:
    """Kill the primary after its replica has fallen behind, and promote the replica: commits are lost."""
    feed = await cluster.stack.enter_async_context(HeldLink(cluster.database_url).running())
    replica = await cluster.stack.enter_async_context(replica_of(cluster.postgres, feed))
    await asyncio.sleep(1)
    with feed.holding(Side.BACKEND):
        await asyncio.sleep(max(1.0, seconds / 4))
        await asyncio.to_thread(cluster.postgres.stop, kill=True)
        feed.cut_all()
    await promote(replica.url)
    cluster.database_url = f"{replica.url.rpartition('/')[0]}/roomcast"
    for link in cluster.database_links:
        link.target = cluster.database_url
        link.cut_all()
    await asyncio.sleep(seconds)


async def promote(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SELECT pg_promote(true, 30)")
    finally:
        await connection.close()
