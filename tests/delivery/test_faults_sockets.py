"""Sockets killed at random while messages arrive: every client's list equals the room's log."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.api_clients import UserClient, sign_up
from tests.delivery.resuming_clients import (
    check_all_received,
    cut_random_clients,
    full_or_short,
    reconnecting_clients,
    running,
    send_concurrently,
)
from tests.process import processes
from tests.running_app import RunningApp

pytestmark = pytest.mark.chaos


async def test_clients_whose_sockets_are_killed_get_the_whole_log(app: RunningApp, ann: UserClient) -> None:
    room_id, count = await ann.create_room("den"), full_or_short(10_000, 300)
    async with reconnecting_clients(full_or_short(50, 8), [app], ann, room_id) as clients:
        async with running(cut_random_clients(clients)):
            await send_concurrently([app], ann, room_id, count)
        await check_all_received(clients, ann, room_id, count)
        assert sum(client.connections for client in clients) > 2 * len(clients)


@pytest.mark.parametrize("bus", ["postgresql", "redis"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_clients_that_move_between_processes_get_the_whole_log(
    database_url: str, tmp_path: Path, bus: str
) -> None:
    count = full_or_short(10_000, 300)
    with bus_of(bus, database_url) as bus_url:
        async with (
            processes(2, database_url, tmp_path, bus_url=bus_url) as both,
            await sign_up(both[0].app, "ann") as ann,
        ):
            room_id = await ann.create_room("den")
            async with reconnecting_clients(full_or_short(50, 8), both, ann, room_id) as clients:
                async with running(cut_random_clients(clients)):
                    await send_concurrently(both, ann, room_id, count)
                await check_all_received(clients, ann, room_id, count)


@contextlib.contextmanager
def bus_of(kind: str, database_url: str) -> Iterator[str]:
    if kind == "postgresql":
        yield database_url
        return
    try:
        server = servers.start_redis("PATH", "wheel")
    except servers.Unavailable as reason:
        servers.skip(reason)
    with contextlib.closing(server):
        yield server.url
