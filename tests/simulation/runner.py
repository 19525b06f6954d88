"""Runs seeds of a world and says which ones failed."""

import gc
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.simulation import batch, database, delivery, limits, sockets
from tests.simulation.loop import SimulatedLoop, simulate

WORLDS: Mapping[str, Callable[[SimulatedLoop], Awaitable[None]]] = {
    "delivery": delivery.scenario,
    "sockets": sockets.scenario,
    "batch": batch.scenario,
}

CHUNK = 10
"""Seeds that a worker takes at a time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`problem`: what did not hold; None for a clean run."""

    world: str
    seed: int
    trace: int
    problem: str | None


def run_seed(world: str, seed: int, *, quiet: bool = True) -> Outcome:
    loop = SimulatedLoop(seed)
    try:
        simulate(loop, WORLDS[world], quiet=quiet)
    except Exception as error:
        return Outcome(world, seed, loop.trace, f"{type(error).__name__}: {error}")
    return Outcome(world, seed, loop.trace, None)


@contextmanager
def simulated_surroundings() -> Iterator[None]:
    """The database's queries, sizes and addresses of a simulation."""
    with ExitStack() as stack:
        for replaced in (database.fake_queries(), limits.small_limits(), sockets.without_addresses()):
            stack.enter_context(replaced)
        gc.collect()
        gc.freeze()  # what exists by now is not looked at between two runs
        yield


def run_seeds(worlds: list[str], seeds: range, jobs: int) -> Iterator[Outcome]:
    """The outcome of each seed in each world, as they come."""
    portions = [
        (world, range(start, min(start + CHUNK, seeds.stop)))
        for start in range(seeds.start, seeds.stop, CHUNK)
        for world in worlds
    ]
    with multiprocessing.get_context("fork").Pool(jobs, initializer=_begin_worker) as pool:
        for outcomes in pool.imap_unordered(_run_portion, portions):
            yield from outcomes


def _begin_worker() -> None:
    warnings.simplefilter("ignore")  # of coroutines that a failed run never began
    sys.unraisablehook = lambda _problem: None


def _run_portion(portion: tuple[str, range]) -> list[Outcome]:
    world, seeds = portion
    with simulated_surroundings():
        return [run_seed(world, seed) for seed in seeds]


def ensure_fixed_hashes(arguments: list[str]) -> None:
    """Begin again with a fixed PYTHONHASHSEED, without which sets of strings have another order in each process."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(  # noqa: S606
            sys.executable, [sys.executable, "-m", "tests.simulation", *arguments], os.environ | {"PYTHONHASHSEED": "0"}
        )


def minutes_since(began: float) -> float:
    return (time.perf_counter() - began) / 60
