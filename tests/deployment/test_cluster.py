"""Three servers behind nginx, with PostgreSQL and Redis. Each part fails and comes back while clients send and listen.

Short form: about 100 sockets, faults of two seconds. `make chaos`: 500 sockets, faults longer than the time-outs,
leases and heartbeats.
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests import servers
from tests.delivery.resuming_clients import FULL
from tests.deployment.installation import MAX_AGE_SECONDS, Installation, Load, load, open_installation, percentile
from tests.faults.cluster import frozen, server_pid

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module")]

logger = logging.getLogger(__name__)
"""`PYTEST_ARGS='-o log_cli=true --log-cli-level=INFO'` shows what was measured."""

SOCKETS, ROOMS = (500, 10) if FULL else (100, 4)
ROLLING_SOCKETS, ROLLING_ROOMS = 100, 4
"""Fewer in the long form too: with 500, two cores are busy with the clients, and the delays are theirs."""

FREEZES = [22.0, 45.0] if FULL else [2.0]
DOWN_SECONDS = 10.0 if FULL else 0.5
P99_SECONDS = 2.0 if FULL else 60.0
"""From the first try of a send to its arrival. CI machines run other tests at the same time."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with open_installation(tmp_path_factory.mktemp("installation")) as opened:
        yield opened


async def test_every_part_fails_and_comes_back_and_nothing_is_lost_or_repeated(installation: Installation) -> None:
    async with load(installation, ROOMS, SOCKETS) as clients:
        for server in (installation.redis, installation.postgres):
            await freeze(server_pid(server), clients)
            await kill(server, clients)
        await freeze(installation.processes[1].pid, clients)
        await kill_a_process(installation, clients)
        await freeze(server_pid(installation.nginx), clients)
        await kill(installation.nginx, clients)
        assert not await clients.violations()
        logger.info(clients.report())


async def freeze(pid: int, clients: Load) -> None:
    for seconds in FREEZES:
        async with frozen(pid):
            await asyncio.sleep(seconds)
        await clients.until_progress()


async def kill(server: servers.Server, clients: Load) -> None:
    await asyncio.to_thread(server.stop, kill=True)
    await asyncio.sleep(DOWN_SECONDS)
    await asyncio.to_thread(server.start)
    await clients.until_progress()


async def kill_a_process(installation: Installation, clients: Load) -> None:
    """The others serve its clients meanwhile."""
    process = installation.processes[1]
    await process.kill()
    await clients.until_progress()
    await process.start()
    await clients.until_progress()


async def test_a_rolling_restart_loses_and_fails_nothing(installation: Installation) -> None:
    async with load(installation, ROLLING_ROOMS, ROLLING_SOCKETS) as clients:
        for process in installation.processes:
            process.signal(signal.SIGTERM)
            await process.wait_for_end(60)
            await process.start()
            await clients.until_progress()
        await until_spread(installation, clients)
        assert not await clients.violations()
        logger.info(clients.report())
        assert percentile(clients.delays, 99) < P99_SECONDS


async def until_spread(installation: Installation, clients: Load) -> None:
    """After the last restart its process has no sockets. They spread again, because each is closed at a certain age."""
    deadline = time.monotonic() + 4 * MAX_AGE_SECONDS
    while (
        min(sockets := [await open_sockets(process.url) for process in installation.processes]) < ROLLING_SOCKETS / 10
    ):
        assert time.monotonic() < deadline, sockets
        await clients.until_progress()
    logger.info("sockets of each process: %s", sockets)


async def open_sockets(url: str) -> int:
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"{url}/metrics", timeout=10)).text
    [line] = [line for line in text.splitlines() if line.startswith("roomcast_sockets ")]
    return int(float(line.split()[1]))
