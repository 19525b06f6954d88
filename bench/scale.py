"""The tables of docs/scale.md. `make bench` puts its figures into the table of unit costs, from which the table of
installations is computed. `python -m bench.scale` computes it again after an edit of the unit costs.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.table import Comparison, Row

SCALE = Path(__file__).parent.parent / "docs" / "scale.md"

DELIVERY, SEND, LONE_SEND = "delivery of an event to one subscriber", "durable send, grouped", "durable send, alone"
PAGE, ROOMS = "page of 50 messages over HTTP", "the first 50 rooms with unread counts"
CONNECT, RETURN = "connect and subscribe, one socket alone", "return of a socket that is 100 messages behind"
SOCKET = "idle subscribed socket"

FIGURES: Mapping[str, str] = {
    DELIVERY: "fan-out to 3000, CPU",
    SEND: "durable sends on SQLite with the author in the payload, CPU",
    LONE_SEND: "a lone durable send on SQLite",
    PAGE: "page of 50 messages with author, avatar, reactions, reply over HTTP",
    ROOMS: "first 50 of 200 rooms with last message and unread counts over HTTP",
    CONNECT: "from connect to the first event",
    RETURN: "3000 sockets back at once, 100 messages behind: CPU for each",
    SOCKET: "memory of an idle subscribed socket",
}
"""How the label of each unit's row of bench/RESULTS.md begins."""

UNIT = re.compile(r"^\| ([^|]+) \| ([\d.,]+) (µs|ms|KiB)[^|]* \|[^|]*\|$", re.MULTILINE)
IN_SECONDS_OR_BYTES = {"µs": 1e-6, "ms": 1e-3, "KiB": 1024}
SOCKETS_OF_PROCESS, PROCESS_BYTES, LOAD = 50_000, 120 * 1024**2, 0.6


@dataclass(frozen=True, slots=True)
class Installation:
    """A load: connections, messages a second, and connected subscribers of each message."""

    name: str
    connected: int
    messages: float
    subscribers: int

    def cores(self, costs: Mapping[str, float]) -> float:
        return self.messages * (costs[SEND] + self.subscribers * costs[DELIVERY])

    def processes(self, costs: Mapping[str, float]) -> int:
        return math.ceil(max(self.cores(costs) / LOAD, self.connected / SOCKETS_OF_PROCESS))

    def memory_bytes(self, costs: Mapping[str, float]) -> float:
        return self.connected * costs[SOCKET] + self.processes(costs) * PROCESS_BYTES

    def text(self, costs: Mapping[str, float]) -> str:
        needed = f"{_digits(self.cores(costs))} | {self.processes(costs)} | {_digits(self.memory_bytes(costs) / 2**30)}"
        load = f"{self.connected:,} | {self.messages:,} | {self.subscribers:,}"
        return f"| {self.name} | {load} | {needed} GiB |"


INSTALLATIONS = (
    Installation("a club on one SQLite file", 500, 2, 50),
    Installation("a company", 20_000, 100, 200),
    Installation("a large community", 200_000, 1_000, 300),
    Installation("a million people", 1_000_000, 8_000, 50),
)


def unit_costs(text: str) -> dict[str, float]:
    """The unit costs in docs/scale.md, in seconds or bytes."""
    units = {name: (float(figure.replace(",", "")), unit) for name, figure, unit in UNIT.findall(text)}
    return {name: value * IN_SECONDS_OR_BYTES[unit] for name, (value, unit) in units.items()}


def with_figures(text: str, rows: Sequence[Row]) -> str:
    """docs/scale.md with the figures of these rows, and all that follows from them."""
    for name, label in FIGURES.items():
        for row in rows:
            if isinstance(row, Comparison) and row.label.startswith(label):
                text = re.sub(rf"^\| {re.escape(name)} \|.*$", _unit_line(name, row.figure), text, flags=re.MULTILINE)
    return computed(text)


def computed(text: str) -> str:
    """docs/scale.md with the installations that follow from its unit costs."""
    costs = unit_costs(text)
    for each in INSTALLATIONS:
        line = rf"^\| {re.escape(each.name)} \|.*$"
        text = re.sub(line, each.text(costs), text, flags=re.MULTILINE)
    return text


def _unit_line(name: str, figure: str) -> str:
    value, _, unit = figure.partition(" ")
    cost = float(value.replace(",", "")) * IN_SECONDS_OR_BYTES[unit]
    most = (
        f"{SOCKETS_OF_PROCESS:,} for each process (a limit in the code)"
        if unit == "KiB"
        else f"{_digits(1 / cost)} a second"
    )
    return f"| {name} | {figure} | {most} |"


def _digits(value: float) -> str:
    """Two digits, and no fewer than the integer has."""
    places = 1 - math.floor(math.log10(value))
    return f"{round(value, places):,.{max(places, 0)}f}"


def write(rows: Sequence[Row] = ()) -> None:
    SCALE.write_text(with_figures(SCALE.read_text(), rows))


if __name__ == "__main__":
    write()
