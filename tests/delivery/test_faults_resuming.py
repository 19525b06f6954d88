"""Many clients resume at once while the database restarts: each gets everything that it missed."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from roomcast.core import migrations
from tests import servers
from tests.api_clients import sign_up
from tests.delivery.resuming_clients import ByMap, Survivor, all_agree, many, surviving, talk
from tests.process import Process, processes

pytestmark = pytest.mark.chaos

ROUNDS = many(5, 1)
MESSAGES = many(300, 60)

TERMINATIONS = many(20, 8)
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'roomcast'"


@pytest.mark.parametrize("kind", [Survivor, ByMap], ids=["after", "map"])
async def test_clients_that_resume_during_a_restart_miss_nothing(tmp_path: Path, kind: type[Survivor]) -> None:
    clients = many(250, 40)
    try:
        postgres = servers.start_postgres("PATH", "wheel")
    except servers.Unavailable as reason:
        servers.skip(reason)
    with closing(postgres):
        database = await servers.create_database(postgres.url, "roomcast")
        await migrations.upgrade(database)
        async with processes(1, database, tmp_path) as [process], await sign_up(process.app, "ann") as ann:
            room_id = await ann.create_room("den")
            async with surviving(clients, [process], ann, room_id, kind) as survivors:
                for number in range(ROUNDS):
                    bodies = [f"{number}.{part}" for part in range(MESSAGES)]
                    sending = asyncio.create_task(talk([process], ann, room_id, bodies))
                    await come_back_during_a_restart(survivors, postgres, process)
                    await sending
                    await all_agree(survivors, ann, room_id, MESSAGES * (number + 1))


async def come_back_during_a_restart(survivors: Sequence[Survivor], postgres: servers.Server, process: Process) -> None:
    """Its connections die again and again while they come back, and then the database itself."""
    administrator = await asyncpg.connect(postgres.url)
    for _ in range(TERMINATIONS):
        await cut_until_some_return(survivors)
        await administrator.execute(TERMINATE)
    await administrator.close()
    await cut_until_some_return(survivors)
    await asyncio.to_thread(postgres.stop, kill=True)
    await asyncio.to_thread(postgres.start)
    await process.until_readiness(200)


async def cut_until_some_return(survivors: Sequence[Survivor]) -> None:
    """Some are acknowledged again, and not all have their streams."""
    connected = sum(survivor.connections for survivor in survivors)
    for survivor in survivors:
        survivor.cut()
    async with asyncio.timeout(60):
        while sum(survivor.connections for survivor in survivors) < connected + 4:  # noqa: ASYNC110 (no one event)
            await asyncio.sleep(0.001)
