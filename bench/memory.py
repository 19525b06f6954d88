"""Memory: what one idle subscribed socket holds of the server."""

import asyncio

import httpx

from bench.fanout import DOCUMENT, PROTOCOL, Audience, newcomer, subscribed
from bench.servers import Running, baseline, roomcast
from bench.sockets import connect_many
from bench.table import Line, Row


async def lines(*, quick: bool) -> list[Row]:
    sockets = 300 if quick else 3000
    ours, bare = await of_roomcast(sockets), await of_bare(sockets)
    return [Line("memory of an idle subscribed socket", f"{ours:.1f} KiB", f"{bare:.1f} KiB", ours / bare, 1.5)]


async def of_roomcast(sockets: int) -> float:
    """KiB of resident memory for each."""
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await newcomer(http)
        warm = await subscribed(server, 50, DOCUMENT, {"roomId": room_id}, token)
        await asyncio.sleep(2)
        before = server.memory_kib()
        audience = await subscribed(server, sockets, DOCUMENT, {"roomId": room_id}, token)
        await settled(server)
        grown = server.memory_kib() - before
        assert len(warm.clients) + len(audience.clients) == sockets + 50
        return grown / sockets


async def of_bare(sockets: int) -> float:
    with baseline("bare") as server:
        audience = Audience()
        audience.clients = await connect_many(50, server.port, "/", PROTOCOL, audience.heard)
        before = server.memory_kib()
        audience.clients += await connect_many(sockets, server.port, "/", PROTOCOL, audience.heard)
        await settled(server)
        return (server.memory_kib() - before) / sockets


async def settled(server: Running) -> None:
    """Wait until the server has nothing more to do than its ticking."""
    used = -1.0
    while server.cpu_seconds() - used > 0.1:
        used = server.cpu_seconds()
        await asyncio.sleep(1)
