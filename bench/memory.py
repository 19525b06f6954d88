"""The server's memory per idle socket with one subscription."""

import asyncio
from functools import partial

import httpx

from bench.fanout import DOCUMENT, PROTOCOL, Receivers, sign_up_with_room, subscribe_many
from bench.rounds import alternate
from bench.servers import ServerProcess, baseline, roomcast
from bench.sockets import connect_many
from bench.table import Row


async def rows(*, quick: bool) -> list[Row]:
    rounds, sockets = (1, 300) if quick else (3, 3000)
    found = await alternate(rounds, partial(measure_roomcast, sockets), partial(measure_bare, sockets))
    return [found.comparison("memory of an idle subscribed socket, against bare uvicorn", "KiB", 0.5)]


async def measure_roomcast(sockets: int) -> float:
    """KiB of resident memory per socket."""
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await sign_up_with_room(http)
        first = await subscribe_many(server, 50, DOCUMENT, {"roomId": room_id}, token)
        await asyncio.sleep(2)
        before = server.memory_kib()
        receivers = await subscribe_many(server, sockets, DOCUMENT, {"roomId": room_id}, token)
        await wait_until_idle(server)
        grown = server.memory_kib() - before
        assert len(first.clients) + len(receivers.clients) == sockets + 50
        return grown / sockets


async def measure_bare(sockets: int) -> float:
    with baseline("bare") as server:
        receivers = Receivers()
        receivers.clients = await connect_many(50, server.port, "/", PROTOCOL, receivers.on_frame)
        before = server.memory_kib()
        receivers.clients += await connect_many(sockets, server.port, "/", PROTOCOL, receivers.on_frame)
        await wait_until_idle(server)
        return (server.memory_kib() - before) / sockets


async def wait_until_idle(server: ServerProcess) -> None:
    """Wait until the server uses almost no CPU."""
    used = -1.0
    while server.cpu_seconds() - used > 0.1:
        used = server.cpu_seconds()
        await asyncio.sleep(1)
