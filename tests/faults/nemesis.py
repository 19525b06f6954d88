"""What goes wrong in a cluster for some seconds. Each returns when it is mended, except for commits that are lost."""

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
    """One process's requests arrive; it gets no answers."""
    with cluster.database_links[1].holding(Side.BACKEND):
        await asyncio.sleep(seconds)


async def hold_requests_to_postgres(cluster: Cluster, seconds: float) -> None:
    with cluster.database_links[1].holding(Side.FRONTEND):
        await asyncio.sleep(seconds)


async def hold_answers_of_redis(cluster: Cluster, seconds: float) -> None:
    """One process publishes and hears nothing."""
    with cluster.redis_links[1].holding(Side.BACKEND):
        await asyncio.sleep(seconds)


async def hold_requests_to_redis(cluster: Cluster, seconds: float) -> None:
    """One process hears, and what it publishes is late."""
    with cluster.redis_links[1].holding(Side.FRONTEND):
        await asyncio.sleep(seconds)


async def cut_redis(cluster: Cluster, seconds: float) -> None:
    """One process has no bus: what it publishes is lost, and what others publish does not reach it."""
    with cluster.redis_links[1].down():
        await asyncio.sleep(seconds)


async def terminate_backends(cluster: Cluster, seconds: float) -> None:
    """Every database connection is ended by an administrator, again and again."""
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
    """What it commits is acknowledged; what it publishes is held, and lost with it."""
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
    """One process's clock runs ahead, and in the long form behind after that; each time it is restarted."""
    skews = [f"+{SKEW_SECONDS}s", f"-{SKEW_SECONDS}s"] if FULL else [f"+{SKEW_SECONDS}s"]
    process = cluster.processes[1]
    usual = process._environment
    for skew in skews:
        await process.kill()
        fake = {"LD_PRELOAD": str(FAKETIME[0]), "FAKETIME": skew, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        process._environment = usual | fake
        await process.start()
        await asyncio.sleep(seconds / len(skews))
    process._environment = usual
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
"""Where senders stop before it is mended: nothing that comes later tells what was lost last."""


async def fail_over(cluster: Cluster, seconds: float) -> None:
    """The primary dies after its replica has fallen behind, and the replica takes its place: commits are lost."""
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
