"""The arithmetic of docs/scale.md: its table follows from its unit costs, and a simulation of queues agrees with it.

The simulation has the unit costs and nothing else: each process is one core that does its work in the order of its
arrival, messages come at random times to random processes, and each is then delivered by every process to its share of
the subscribers. So it checks what the formula says about load and delay, not the costs.
"""

import heapq
import random
from dataclasses import dataclass, replace

import pytest

from bench import scale
from bench.scale import DELIVERY, INSTALLATIONS, SEND, Installation
from bench.table import Comparison

RESULTS = (scale.SCALE.parents[1] / "bench" / "RESULTS.md").read_text()
TEXT = scale.SCALE.read_text()
COSTS = scale.unit_costs(TEXT)
SENDS = 4_000


@dataclass(frozen=True)
class Simulated:
    """`cores`: busy on average. `p99_seconds`: from the request until the last subscriber has it."""

    cores: float
    p99_seconds: float


def simulate(load: Installation, processes: int, seed: int = 1) -> Simulated:
    """Queues of one core each, first come, first served."""
    chance, free_at, busy = random.Random(seed), [0.0] * processes, 0.0
    delivery = load.subscribers / processes * COSTS[DELIVERY]
    clock, arrivals = 0.0, []
    for number in range(SENDS):
        clock += chance.expovariate(load.messages)
        arrivals.append((clock, chance.randrange(processes), number, COSTS[SEND]))
    begun, ended = {number: at for at, _, number, _ in arrivals}, [0.0] * SENDS
    waiting = list(arrivals)
    while waiting:
        at, process, number, work = heapq.heappop(waiting)
        free_at[process] = max(at, free_at[process]) + work
        busy += work
        if work == COSTS[SEND]:
            for each in range(processes):
                heapq.heappush(waiting, (free_at[process], each, number, delivery))
        else:
            ended[number] = max(ended[number], free_at[process])
    delays = sorted(end - begun[number] for number, end in enumerate(ended))
    return Simulated(busy / clock, delays[int(0.99 * SENDS)])


def test_the_table_follows_from_the_unit_costs() -> None:
    assert set(COSTS) == set(scale.FIGURES)
    assert scale.computed(TEXT) == TEXT, "run python -m bench.scale"


def test_figures_of_the_benchmark_replace_the_unit_costs() -> None:
    doubled = 2 * COSTS[DELIVERY]
    row = Comparison("fan-out to 3000, CPU per delivery", f"{doubled * 1e6:.2f} µs", "1 µs", 1.0, 1.0)
    changed = scale.with_figures(TEXT, [row])
    assert scale.unit_costs(changed) == pytest.approx({**COSTS, DELIVERY: doubled}, rel=0.01)
    assert changed != TEXT
    assert scale.computed(changed) == changed


@pytest.mark.parametrize("load", INSTALLATIONS, ids=lambda load: load.name)
def test_a_simulation_agrees_with_the_formula(load: Installation) -> None:
    simulated = simulate(load, load.processes(COSTS))
    assert simulated.cores == pytest.approx(load.cores(COSTS), rel=0.06)
    assert simulated.p99_seconds < 0.05


def test_processes_that_are_nearly_full_are_slow() -> None:
    """What the factor 0.6 is for."""
    load = INSTALLATIONS[2]
    processes = load.processes(COSTS)
    loads = [replace(load, messages=load.messages * share * processes / load.cores(COSTS)) for share in (0.6, 0.95)]
    relaxed, full = (simulate(each, processes).p99_seconds for each in loads)
    assert full > 3 * relaxed


@pytest.mark.parametrize("label", scale.FIGURES.values())
def test_each_unit_has_one_row_in_the_results(label: str) -> None:
    assert RESULTS.count(f"\n| {label}") == 1
