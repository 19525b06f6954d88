"""The arithmetic of docs/scale.md: its table follows from its formula, and a simulation of queues agrees with it.

The simulation has the formula's costs and nothing else: each process is one core that does its work in the order of its
arrival, messages come at random times to random processes, and each is then delivered by every process to its share of
the subscribers. So it checks what the formula says about load and delay, not the costs.
"""

import heapq
import math
import random
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

SEND_SECONDS, DELIVERY_SECONDS, LOAD = 0.0007, 13e-6, 0.6
SOCKETS_OF_PROCESS, SOCKET_BYTES, PROCESS_BYTES = 50_000, 27 * 1024, 120 * 1024**2
SENDS = 4_000


@dataclass(frozen=True)
class Installation:
    """A row of the table."""

    connected: int
    messages: int
    subscribers: int
    cores: float
    processes: int
    memory_gib: float


def rows() -> dict[str, Installation]:
    text = Path("docs/scale.md").read_text().partition("## The arithmetic")[2].partition("\n## ")[0]
    found = re.findall(r"^\| ([a-z][^|]+) \|((?: [\d.,]+ \|){5} [\d.]+ GiB) \|", text, re.MULTILINE)
    numbers = {name: [float(n.strip(" GiB").replace(",", "")) for n in line.split("|")] for name, line in found}
    return {name: Installation(int(n[0]), int(n[1]), int(n[2]), n[3], int(n[4]), n[5]) for name, n in numbers.items()}


def cores(row: Installation) -> float:
    return row.messages * (SEND_SECONDS + row.subscribers * DELIVERY_SECONDS)


@dataclass(frozen=True)
class Simulated:
    """`cores`: busy on average. `p99_seconds`: from the request until the last subscriber has it."""

    cores: float
    p99_seconds: float


def simulate(row: Installation, processes: int, seed: int = 1) -> Simulated:
    """Queues of one core each, first come, first served."""
    chance, free_at, busy = random.Random(seed), [0.0] * processes, 0.0
    delivery = row.subscribers / processes * DELIVERY_SECONDS
    clock, arrivals = 0.0, []
    for number in range(SENDS):
        clock += chance.expovariate(row.messages)
        arrivals.append((clock, chance.randrange(processes), number, SEND_SECONDS))
    begun, ended = {number: at for at, _, number, _ in arrivals}, [0.0] * SENDS
    waiting = list(arrivals)
    while waiting:
        at, process, number, work = heapq.heappop(waiting)
        free_at[process] = max(at, free_at[process]) + work
        busy += work
        if work == SEND_SECONDS:
            for each in range(processes):
                heapq.heappush(waiting, (free_at[process], each, number, delivery))
        else:
            ended[number] = max(ended[number], free_at[process])
    delays = sorted(end - begun[number] for number, end in enumerate(ended))
    return Simulated(busy / clock, delays[int(0.99 * SENDS)])


@pytest.mark.parametrize("name", rows())
def test_the_table_follows_from_the_formula(name: str) -> None:
    row = rows()[name]
    processes = max(cores(row) / LOAD, row.connected / SOCKETS_OF_PROCESS)
    memory = (row.connected * SOCKET_BYTES + row.processes * PROCESS_BYTES) / 1024**3
    assert row.cores == pytest.approx(cores(row), rel=0.05, abs=0.001)
    assert row.processes == max(math.ceil(processes - 0.05), 1)
    assert row.memory_gib == pytest.approx(memory, rel=0.05, abs=0.1)


@pytest.mark.parametrize("name", rows())
def test_a_simulation_agrees_with_the_formula(name: str) -> None:
    row = rows()[name]
    simulated = simulate(row, row.processes)
    assert simulated.cores == pytest.approx(cores(row), rel=0.06)
    assert simulated.p99_seconds < 0.05


def test_processes_that_are_nearly_full_are_slow() -> None:
    """What the factor 0.6 is for."""
    row = rows()["a large community"]
    full = math.ceil(cores(row) / 0.97)
    assert simulate(row, full).p99_seconds > 3 * simulate(row, row.processes).p99_seconds
