"""What a send costs with partitioned tables, against the same server with plain ones. The two take turns."""

from statistics import median

from bench.databases import Databases, open_databases
from bench.sending import SPREADS, Rate, open_roomcast
from bench.table import Comparison, Row
from roomcast.core import migrations
from roomcast.core.partitions import partition

PARTITIONS = 4
LEAST = 0.91
"""A send may cost a tenth more."""


async def rows(*, quick: bool) -> list[Row]:
    rounds, seconds = (1, 0.5) if quick else (3, 4.0)
    spreads = list(SPREADS.items())[: 1 if quick else None]
    with open_databases() as databases:
        return [await _compare(databases, spread, rooms, rounds, seconds) for spread, rooms in spreads]


async def _compare(databases: Databases, spread: str, rooms: int, rounds: int, seconds: float) -> Comparison:
    plain, partitioned = list[Rate](), list[Rate]()
    for _ in range(rounds):
        for count, rates in ((0, plain), (PARTITIONS, partitioned)):
            async with databases.empty("PostgreSQL") as url:
                await migrations.upgrade(url)
                if count:
                    await partition(url, count)
                async with open_roomcast(url, rooms) as (target, _):
                    rates.append(await target.rate(seconds))
    ours, base = (_middle(rates) for rates in (partitioned, plain))
    return Comparison(
        f"durable sends on PostgreSQL, {spread}, {PARTITIONS} partitions, against plain tables",
        ours.text(),
        base.text(),
        ours.per_second / base.per_second,
        LEAST,
        at_least=True,
    )


def _middle(rates: list[Rate]) -> Rate:
    return Rate(median(rate.per_second for rate in rates), median(rate.cpu_milliseconds for rate in rates))
