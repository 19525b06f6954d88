"""Two server processes with one PostgreSQL and one Redis, compared with one process.

The listeners of a room are split between the processes and sends alternate, as behind a load balancer. The CPU of the
busier process counts.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import httpx

from bench.fanout import (
    BODY,
    DOCUMENT,
    SEND,
    Receivers,
    execute,
    publish_events,
    sign_up_with_room,
    subscribe_many,
    warm_up,
)
from bench.rounds import alternate
from bench.servers import ServerProcess, roomcast
from bench.table import Row
from tests import servers


async def rows(*, quick: bool) -> list[Row]:
    rounds, listeners, events = (1, 200, 20) if quick else (3, 3000, 60)
    found = await alternate(
        rounds,
        partial(deliveries_per_cpu_second, 2, listeners, events),
        partial(deliveries_per_cpu_second, 1, listeners, events),
    )
    what = f"fan-out to {listeners} of two processes, deliveries per CPU second of the busier one, against one process"
    return [found.comparison(what, "/s", 1.85, at_least=True)]


async def deliveries_per_cpu_second(processes: int, listeners: int, events: int) -> float:
    with ExitStack() as stack:
        postgres, redis = stack.enter_context(servers.postgres()), stack.enter_context(servers.redis())
        database = await servers.create_database(postgres.url, "bench")
        settings = {
            "database_url": database,
            "bus_url": redis.url,
            "secret_key": "the same secret for all processes",
            "migrate_on_start": "true",
        }
        started = [stack.enter_context(roomcast(**settings)) for _ in range(processes)]
        async with httpx.AsyncClient(timeout=60) as http:
            return await _measure(http, started, listeners, events)


async def _measure(http: httpx.AsyncClient, started: Sequence[ServerProcess], listeners: int, events: int) -> float:
    http.base_url = httpx.URL(started[0].url)
    token, room_id = await sign_up_with_room(http)
    receivers = Receivers()
    for server in started:
        count = listeners // len(started)
        await subscribe_many(server, count, DOCUMENT, {"roomId": room_id}, token, receivers=receivers)

    async def publish(number: int) -> None:
        http.base_url = httpx.URL(started[number % len(started)].url)
        await execute(http, token, SEND, {"input": {"roomId": room_id, "body": BODY}})

    await warm_up(receivers, publish)
    before = [server.cpu_seconds() for server in started]
    await publish_events(receivers, publish, events)
    used = [server.cpu_seconds() - cpu for server, cpu in zip(started, before, strict=True)]
    return listeners * events / max(used)
