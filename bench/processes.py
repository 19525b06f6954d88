"""Two server processes with one PostgreSQL and one Redis, compared with one process.

The listeners of a room are split between the processes and sends alternate, as behind a load balancer. The CPU of the
busier process counts.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx

from bench.fanout import (
    DOCUMENT,
    Receivers,
    publish_events,
    send_request,
    sign_up_with_room,
    subscribe_many,
    warm_up,
)
from bench.http_client import open_connection
from bench.rounds import alternate
from bench.servers import roomcast
from bench.table import Row
from tests import servers


async def rows(*, quick: bool) -> list[Row]:
    rounds, listeners, events = (1, 100, 10) if quick else (3, 3000, 60)
    async with open_processes(2, listeners) as two, open_processes(1, listeners) as one:
        found = await alternate(rounds, partial(two, events), partial(one, events))
    what = f"fan-out to {listeners} of two processes, deliveries per CPU second of the busier one, against one process"
    return [found.comparison(what, "/s", 1.85, at_least=True)]


@asynccontextmanager
async def open_processes(count: int, listeners: int) -> AsyncIterator[Callable[[int], Awaitable[float]]]:
    """Processes with listeners. The function sends so many events; deliveries per CPU second of the busier process."""
    async with AsyncExitStack() as stack:
        postgres, redis = stack.enter_context(servers.postgres()), stack.enter_context(servers.redis())
        settings = {
            "database_url": await servers.create_database(postgres.url, f"bench_{count}"),
            "bus_url": redis.url,
            "secret_key": "the same secret for all processes",
            "migrate_on_start": "true",
        }
        started = [stack.enter_context(roomcast(**settings)) for _ in range(count)]
        async with httpx.AsyncClient(base_url=started[0].url, timeout=60) as http:
            token, room_id = await sign_up_with_room(http)
        receivers = Receivers()
        for server in started:
            await subscribe_many(server, listeners // count, DOCUMENT, {"roomId": room_id}, token, receivers=receivers)
        connections = [await stack.enter_async_context(open_connection(server.port)) for server in started]
        request = send_request(token, room_id)

        async def deliveries_per_cpu_second(events: int) -> float:
            async def publish(number: int) -> bytes:
                return await connections[number % count].send(request)

            await warm_up(receivers, publish)
            before = [server.cpu_seconds() for server in started]
            await publish_events(receivers, publish, events)
            used = [server.cpu_seconds() - cpu for server, cpu in zip(started, before, strict=True)]
            return listeners * events / max(used)

        yield deliveries_per_cpu_second
