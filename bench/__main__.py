"""`make bench` and `make bench-quick`: every figure beside its baseline, in one run."""

import asyncio
import sys
from collections.abc import AsyncIterator
from statistics import median

from bench import fanout, memory, sending, storm
from bench.servers import has_node, keep_off_the_servers_core, room_for_sockets
from bench.table import Line, keep, table

VIEWER_DOCUMENT = fanout.DOCUMENT.replace("body createdAt", "body viewerCanEdit createdAt")


class Sizes:
    """How much of each: `quick` only shows that it runs."""

    def __init__(self, *, quick: bool) -> None:
        self.crowds = ((200, 20, 1.5),) if quick else ((500, 150, 1.5), (3000, 40, 1.25))
        self.stock = (100, 10) if quick else (500, 30)
        self.seconds = 2.0 if quick else 6.0
        self.idle = 300 if quick else 3000
        self.storm = 300 if quick else 3000
        self.rounds = 1 if quick else 3
        self.latency_rounds, self.latency_events = (1, 50) if quick else (5, 150)


async def fan_out(sizes: Sizes) -> AsyncIterator[Line]:
    for listeners, events, mark in sizes.crowds:
        pairs = []
        for _ in range(sizes.rounds):
            ours = await fanout.of_roomcast(listeners, events)
            bare = await fanout.of_bare(listeners, events, round(ours.payload_bytes))
            pairs.append((ours.cpu_microseconds / bare.cpu_microseconds, ours, bare))
        ratio, ours, bare = sorted(pairs, key=lambda pair: pair[0])[len(pairs) // 2]
        yield Line(
            f"fan-out to {listeners}, CPU per delivery, the durable send included, against a bare ASGI broadcast",
            f"{ours.cpu_microseconds:.1f} µs ({ours.deliveries / ours.seconds:,.0f}/s)",
            f"{bare.cpu_microseconds:.1f} µs ({bare.deliveries / bare.seconds:,.0f}/s)",
            ratio,
            mark,
        )
    listeners, events = sizes.stock
    ours, stock = await fanout.of_roomcast(listeners, events * 3), await fanout.of_stock(listeners, events)
    viewer = await fanout.of_people(listeners, events, VIEWER_DOCUMENT)
    if has_node():
        node = await fanout.of_yoga(listeners, events * 3)
        ratio = ours.cpu_microseconds / node.cpu_microseconds
        what = f"fan-out to {listeners}, against graphql-yoga with graphql-ws on Node"
        yield Line(what, f"{ours.cpu_microseconds:.1f} µs", f"{node.cpu_microseconds:.1f} µs", ratio, 1)
    for what, figures, mark in (
        (f"fan-out to {listeners}, against stock Strawberry", ours, 1 / 15),
        (f"fan-out to {listeners} with a viewer field in the document, against stock Strawberry", viewer, 1 / 2),
    ):
        ratio = figures.cpu_microseconds / stock.cpu_microseconds
        yield Line(what, f"{figures.cpu_microseconds:.1f} µs", f"{stock.cpu_microseconds:.1f} µs", ratio, mark)


async def one_stalled(sizes: Sizes) -> AsyncIterator[Line]:
    listeners, events = sizes.stock[0], sizes.latency_events
    pairs = []
    for _ in range(sizes.latency_rounds):
        without = await fanout.p99_milliseconds(listeners, events, stalled=False)
        pairs.append((await fanout.p99_milliseconds(listeners, events, stalled=True), without))
    beside, alone = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    what = f"one stalled reader among {listeners}: p99 until all others have heard"
    yield Line(what, f"{beside:.1f} ms", f"{alone:.1f} ms", beside / alone, 1.5)


async def sends(sizes: Sizes) -> AsyncIterator[Line]:
    ours, ceiling = await sending.of_roomcast(sizes.seconds), await sending.of_baseline("no_database", sizes.seconds)
    with sending.sqlite_url() as url:
        naive = await sending.of_baseline("naive_orm", sizes.seconds, DATABASE_URL=url)
    for what, baseline, mark in (
        ("durable sends on SQLite, one hot room, against the same mutation without a database", ceiling, 0.55),
        ("durable sends on SQLite, one hot room, against an ORM session per send", naive, 5),
    ):
        ratio = ours.per_second / baseline.per_second
        yield Line(what, f"{ours.per_second:,.0f}/s", f"{baseline.per_second:,.0f}/s", ratio, mark, at_least=True)


async def idle(sizes: Sizes) -> AsyncIterator[Line]:
    ours, bare = await memory.of_roomcast(sizes.idle), await memory.of_bare(sizes.idle)
    yield Line("memory of an idle subscribed socket", f"{ours:.1f} KiB", f"{bare:.1f} KiB", ours / bare, 1.5)


async def back_at_once(sizes: Sizes) -> AsyncIterator[Line]:
    found = [await storm.run(sizes.storm) for _ in range(sizes.rounds)]
    worst = max(result.wrong + result.sockets - result.caught_up for result in found)
    seconds, ping = median(result.seconds for result in found), median(result.slowest_ping_ms for result in found)
    what = f"{sizes.storm} sockets back at once, {storm.MISSED} messages behind"
    yield Line(f"{what}: lost or twice", f"{worst} clients, {seconds:.1f} s", "0", float(worst), 0)
    yield Line(f"{what}: the slowest ping", f"{ping:.0f} ms", "250 ms", ping / 250, 1)


async def main() -> None:
    sizes = Sizes(quick="--quick" in sys.argv)
    keep_off_the_servers_core()
    room_for_sockets()
    lines = []
    for part in (fan_out, one_stalled, sends, idle, back_at_once):
        async for line in part(sizes):
            lines.append(line)
            print(line.row(), flush=True)
    if "--quick" not in sys.argv:
        keep(lines)
    print(f"\n{table(lines)}")


if __name__ == "__main__":
    asyncio.run(main())
