"""The CPU of a send with partitioned tables, of server and PostgreSQL together, against that with plain tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from bench.databases import open_databases
from bench.rounds import alternate
from bench.sending import SPREADS, Target, open_roomcast
from bench.servers import ServerProcess
from bench.table import Comparison, Row
from roomcast.core import migrations, partitions

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class ServerAndDatabase(ServerProcess):
    """A server with a PostgreSQL of its own, whose CPU counts as the server's."""

    database_pid: int

    def cpu_seconds(self) -> float:
        return sum(ServerProcess(self.port, pid).cpu_seconds() for pid in (self.pid, self.database_pid))


async def rows(*, quick: bool) -> list[Row]:
    rounds, seconds = (1, 0.5) if quick else (8, 1.5)
    return [await _compare(*spread, rounds, seconds) for spread in list(SPREADS.items())[: 1 if quick else None]]


async def _compare(spread: str, rooms: int, rounds: int, seconds: float) -> Comparison:
    async with _open(rooms, PARTITIONS) as ours, _open(rooms, 0) as base:
        found = await alternate(rounds, partial(ours.cpu_of_each, seconds), partial(base.cpu_of_each, seconds))
    what = (
        f"durable sends on PostgreSQL, {spread}, {PARTITIONS} partitions, CPU with the database's, against plain tables"
    )
    return found.comparison(what, "ms", 1.1)


@asynccontextmanager
async def _open(rooms: int, count: int) -> AsyncIterator[Target]:
    with open_databases() as databases:
        async with databases.empty("PostgreSQL") as url:
            await migrations.upgrade(url)
            if count:
                await partitions.partition(url, count)
            async with open_roomcast(url, rooms) as (target, _):
                server = ServerAndDatabase(target.server.port, target.server.pid, databases.postgres_pid)
                yield replace(target, server=server)
