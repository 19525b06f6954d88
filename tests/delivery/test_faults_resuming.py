"""Many clients resume while the database restarts: each receives all missed events."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from roomcast.core import migrations
from tests import servers
from tests.api_clients import sign_up
from tests.delivery.resuming_clients import (
    ReconnectingClient,
    ResumeMapClient,
    check_all_received,
    full_or_short,
    reconnecting_clients,
    send_with_retries,
)
from tests.process import Process, processes

pytestmark = pytest.mark.chaos

ROUNDS = full_or_short(5, 1)
MESSAGES = full_or_short(300, 60)

TERMINATIONS = full_or_short(20, 8)
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'roomcast'"


@pytest.mark.parametrize("kind", [ReconnectingClient, ResumeMapClient], ids=["after", "map"])
async def test_clients_that_resume_during_a_restart_miss_nothing(
    tmp_path: Path, kind: type[ReconnectingClient]
) -> None:
    count = full_or_short(250, 40)
    try:
        postgres = servers.start_postgres("PATH", "wheel")
    except servers.Unavailable as reason:
        servers.skip(reason)
    with closing(postgres):
        database = await servers.create_database(postgres.url, "roomcast")
        await migrations.upgrade(database)
        async with processes(1, database, tmp_path) as [process], await sign_up(process.app, "ann") as ann:
            room_id = await ann.create_room("den")
            async with reconnecting_clients(count, [process], ann, room_id, kind) as clients:
                for number in range(ROUNDS):
                    bodies = [f"{number}.{part}" for part in range(MESSAGES)]
                    sending = asyncio.create_task(send_with_retries([process], ann, room_id, bodies))
                    await reconnect_during_a_restart(clients, postgres, process)
                    await sending
                    await check_all_received(clients, ann, room_id, MESSAGES * (number + 1))


async def reconnect_during_a_restart(
    clients: Sequence[ReconnectingClient], postgres: servers.Server, process: Process
) -> None:
    """Terminate database connections while clients reconnect, then restart the database."""
    admin_connection = await asyncpg.connect(postgres.url)
    for _ in range(TERMINATIONS):
        await cut_until_some_reconnect(clients)
        await admin_connection.execute(TERMINATE)
    await admin_connection.close()
    await cut_until_some_reconnect(clients)
    await asyncio.to_thread(postgres.stop, kill=True)
    await asyncio.to_thread(postgres.start)
    await process.until_health("ok")


async def cut_until_some_reconnect(clients: Sequence[ReconnectingClient]) -> None:
    """Cut all clients and return when some, but not all, have connected again."""
    connected = sum(client.connections for client in clients)
    for client in clients:
        client.cut()
    async with asyncio.timeout(60):
        while sum(client.connections for client in clients) < connected + 4:  # noqa: ASYNC110 (no one event)
            await asyncio.sleep(0.001)
