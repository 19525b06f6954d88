"""`make bench` and `make bench-quick`: every figure beside its baseline, in one run."""

import argparse
import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable

from bench import edge, fanout, history, hostile, logins, memory, processes, sending, stalled, starting, storm
from bench.servers import keep_off_the_servers_core, room_for_sockets
from bench.table import Failure, Row, keep, table

Part = Callable[..., Awaitable[list[Row]]]

PARTS: dict[str, Part] = {
    "fanout": fanout.lines,
    "stalled": stalled.lines,
    "sending": sending.lines,
    "history": history.lines,
    "memory": memory.lines,
    "logins": logins.lines,
    "storm": storm.lines,
    "processes": processes.lines,
    "starting": starting.lines,
    "edge": edge.lines,
    "hostile": hostile.lines,
}
"""Each takes its measurements when called; `quick` only shows that it runs."""

LONGEST_SECONDS = 600.0


async def main(*names: str, quick: bool) -> int:
    """Take these parts, or all. A part that fails is said in its row; how many did is the answer."""
    keep_off_the_servers_core()
    room_for_sockets()
    rows: list[Row] = []
    for name in names or PARTS:
        begun = time.monotonic()
        print(f"… {name}", flush=True)
        found = await rows_of(name, quick)
        rows += found
        print("\n".join(row.text() for row in found), f"\n  took {time.monotonic() - begun:.0f} s", flush=True)
    if not quick and not names:
        keep(rows)
    print(f"\n{table(rows)}")
    return sum(isinstance(row, Failure) for row in rows)


async def rows_of(name: str, quick: bool) -> list[Row]:
    try:
        return await asyncio.wait_for(PARTS[name](quick=quick), LONGEST_SECONDS)
    except Exception as error:
        traceback.print_exc()
        return [Failure(name, f"{type(error).__name__}: {error}")]


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", metavar="PART", nargs="*", choices=[[], *PARTS], help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="only show that it runs: figures as small are not judged")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = asked()
    sys.exit(asyncio.run(main(*chosen.names, quick=chosen.quick)))
