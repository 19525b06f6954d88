"""`python -m tests.simulation`: run many seeds, or replay one."""

import argparse
import os
import sys
import time

from tests.simulation.runner import (
    WORLDS,
    Outcome,
    ensure_fixed_hashes,
    minutes_since,
    run_seed,
    run_seeds,
    simulated_surroundings,
)

SHOWN_FAILURES = 20


def main() -> int:
    ensure_fixed_hashes(sys.argv[1:])
    options = _options()
    worlds = options.world or list(WORLDS)
    if options.seed is not None:
        return _replay(worlds, options.seed, with_trace=options.trace)
    return _run(worlds, range(options.first, options.first + options.seeds), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--world", action="append", choices=list(WORLDS), help="only this one; may be repeated")
    parser.add_argument("--seeds", type=int, default=1000, help="how many, in each world")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further seeds after these")
    parser.add_argument("--seed", type=int, help="run only this one, with the server's log lines")
    parser.add_argument("--trace", action="store_true", help="print the checksum of that run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    return parser.parse_args()


def _replay(worlds: list[str], seed: int, *, with_trace: bool) -> int:
    failed = 0
    with simulated_surroundings():
        for world in worlds:
            outcome = run_seed(world, seed, quiet=with_trace)
            _say(f"{world} seed {seed}: {outcome.problem or 'clean'}")
            if with_trace:
                _say(f"{outcome.trace:08x}")
            failed += outcome.problem is not None
    return 1 if failed else 0


def _run(worlds: list[str], seeds: range, options: argparse.Namespace) -> int:
    began = time.perf_counter()
    failed: list[Outcome] = []
    count = 0
    for outcome in run_seeds(worlds, seeds, options.jobs):
        count += 1
        if outcome.problem is not None:
            failed.append(outcome)
            if len(failed) <= SHOWN_FAILURES:
                _say(f"FAILED --world {outcome.world} --seed {outcome.seed}: {outcome.problem}")
        if time.perf_counter() - began > options.seconds:
            break
    minutes = minutes_since(began)
    _say(f"{count} runs (of up to {len(seeds)} seeds in {', '.join(worlds)}), {len(failed)} failed")
    _say(f"{count / minutes:.0f} seeds per minute on {options.jobs} processes")
    return 1 if failed else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
