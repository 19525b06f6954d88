"""What a run found: each figure beside its baseline, and whether the mark was met."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`mark` is the ratio to reach: at most so much, or (`at_least`) at least so much."""

    label: str
    figure: str
    baseline: str
    ratio: float
    target: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target

    def text(self) -> str:
        sign = "≥" if self.at_least else "≤"
        met = "met" if self.is_met else "not met"
        return f"| {self.label} | {self.figure} | {self.baseline} | {self.ratio:.2f} | {sign} {self.target:g} | {met} |"


@dataclass(frozen=True, slots=True)
class Failure:
    """A part that could not be measured, and why."""

    label: str
    reason: str

    def text(self) -> str:
        return f"| {self.label} | failed: {' '.join(self.reason.split())} | | | | not met |"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What nothing is held against."""

    label: str
    figure: str

    def text(self) -> str:
        return f"| {self.label} | {self.figure} | | | | |"


Row = Comparison | Measurement | Failure


def markdown_table(rows: list[Row]) -> str:
    head = "| what | figure | baseline | ratio | mark | |\n|---|---|---|---:|---:|---|"
    return "\n".join([head, *(row.text() for row in rows)])


def write_results(rows: list[Row]) -> None:
    """Write the results with the machine they are of."""
    cores = os.cpu_count()
    machine = f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, {platform.system()}"
    RESULTS.write_text(
        "# Results\n\nWritten by `make bench`. Absolute figures move with the machine; only the ratios of one run "
        f"count.\n\n{datetime.now(UTC):%Y-%m-%d}, {machine}: the server on one core, the load on the other.\n\n"
        f"{markdown_table(rows)}\n"
    )
