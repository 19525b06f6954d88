"""Brokers, databases and servers are killed during streams: no event is lost or repeated, and readiness tells it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from roomcast.core import migrations
from tests import servers
from tests.api_clients import sign_up
from tests.delivery.resuming_clients import check_all_received, full_or_short, reconnecting_clients, send_concurrently
from tests.process import Process, processes

pytestmark = pytest.mark.chaos


@pytest.fixture
def postgres() -> Iterator[servers.Server]:
    """A separate server, which the test stops and starts."""
    yield from _own(servers.start_postgres)


@pytest.fixture
def redis() -> Iterator[servers.Server]:
    yield from _own(servers.start_redis)


def _own(start: Callable[..., servers.Server]) -> Iterator[servers.Server]:
    try:
        server = start("PATH", "wheel")
    except servers.Unavailable as reason:
        servers.skip(reason)
    with closing(server):
        yield server


@pytest.fixture
async def database(postgres: servers.Server) -> str:
    url = await servers.create_database(postgres.url, "roomcast")
    await migrations.upgrade(url)
    return url


async def restart(server: servers.Server, all_processes: list[Process]) -> None:
    """Kill the server, wait until every process reports it, and start it again."""
    await asyncio.to_thread(server.stop, kill=True)
    await asyncio.gather(*(process.until_health("degraded", "down") for process in all_processes))
    await asyncio.to_thread(server.start)
    await asyncio.gather(*(process.until_health("ok") for process in all_processes))


async def test_redis_killed_and_restarted_loses_nothing(database: str, redis: servers.Server, tmp_path: Path) -> None:
    count = full_or_short(2_000, 300)
    async with processes(2, database, tmp_path, bus_url=redis.url) as both, await sign_up(both[0].app, "ann") as ann:
        room_id = await ann.create_room("den")
        async with reconnecting_clients(full_or_short(50, 6), both, ann, room_id) as clients:
            sending = asyncio.create_task(send_concurrently(both, ann, room_id, count))
            await clients[0].until(count // 3)
            await restart(redis, both)
            await sending
            await check_all_received(clients, ann, room_id, count)


@pytest.mark.parametrize("bus", ["redis", "postgresql"])
async def test_postgresql_killed_and_restarted_loses_nothing(
    database: str, postgres: servers.Server, redis: servers.Server, tmp_path: Path, bus: str
) -> None:
    count, bus_url = full_or_short(2_000, 300), redis.url if bus == "redis" else database
    async with processes(2, database, tmp_path, bus_url=bus_url) as both, await sign_up(both[0].app, "ann") as ann:
        room_id = await ann.create_room("den")
        async with reconnecting_clients(full_or_short(50, 6), both, ann, room_id) as clients:
            sending = asyncio.create_task(send_concurrently(both, ann, room_id, count))
            await clients[0].until(count // 3)
            await restart(postgres, both)
            await sending
            await check_all_received(clients, ann, room_id, count)


async def test_killing_one_of_three_servers_loses_nothing(database: str, redis: servers.Server, tmp_path: Path) -> None:
    count = full_or_short(2_000, 300)
    async with (
        processes(3, database, tmp_path, bus_url=redis.url) as three,
        await sign_up(three[0].app, "ann") as ann,
    ):
        room_id = await ann.create_room("den")
        async with reconnecting_clients(full_or_short(50, 9), three, ann, room_id) as clients:
            sending = asyncio.create_task(send_concurrently(three, ann, room_id, count))
            await clients[0].until(count // 3)
            await three[2].kill()
            await sending
            await check_all_received(clients, ann, room_id, count)
