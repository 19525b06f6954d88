"""`make bench` and `make bench-quick`: measure roomcast and its baselines, and compare them."""

import argparse
import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable

import uvloop

from bench import (
    connecting,
    fanout,
    history,
    hostile,
    logins,
    memory,
    pages,
    partitions,
    peers,
    processes,
    scale,
    sending,
    stalled,
    starting,
    storm,
)
from bench.servers import leave_server_core, raise_open_files_limit
from bench.table import NotMeasured, Row, markdown_table, write_results

Part = Callable[..., Awaitable[list[Row]]]

PARTS: dict[str, Part] = {
    "fanout": fanout.rows,
    "sending": sending.rows,
    "pages": pages.rows,
    "history": history.rows,
    "memory": memory.rows,
    "connecting": connecting.rows,
    "storm": storm.rows,
    "stalled": stalled.rows,
    "processes": processes.rows,
    "starting": starting.rows,
    "peers": peers.rows,
    "partitions": partitions.rows,
    "logins": logins.rows,
    "hostile": hostile.rows,
}
"""The parts of the benchmark. With `quick` a part runs in small, to show that it works."""

PART_TIMEOUT_SECONDS = 600.0


async def main(*names: str, quick: bool) -> int:
    """Run these parts, all if none are named. A part that fails becomes a row. Returns how many failed."""
    leave_server_core()
    raise_open_files_limit()
    rows: list[Row] = []
    for name in names or PARTS:
        started = time.monotonic()
        print(f"… {name}", flush=True)
        part_rows = await measure_part(name, quick)
        rows += part_rows
        print("\n".join(row.text() for row in part_rows), f"\n  took {time.monotonic() - started:.0f} s", flush=True)
    if not quick and not names:
        write_results(rows)
        scale.write(rows)
    print(f"\n{markdown_table(rows)}")
    return sum(isinstance(row, NotMeasured) and row.has_failed for row in rows)


async def measure_part(name: str, quick: bool) -> list[Row]:
    try:
        return await asyncio.wait_for(PARTS[name](quick=quick), PART_TIMEOUT_SECONDS)
    except Exception as error:
        traceback.print_exc()
        return [NotMeasured(name, f"{type(error).__name__}: {error}", has_failed=True)]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", metavar="PART", nargs="*", choices=[[], *PARTS], help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="run every part in small, without judging the results")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = parse_arguments()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the load should cost little
        sys.exit(runner.run(main(*chosen.names, quick=chosen.quick)))
