"""The rows of the result table: a measurement, its baseline, and whether the mark was met."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`ratio` of figure to baseline. It may be at most `mark`, or with `at_least` has to be at least `mark`.
    Without a mark it is only shown."""

    label: str
    figure: str
    baseline: str
    ratio: float
    mark: float | None
    at_least: bool = False

    def text(self) -> str:
        return f"| {self.label} | {self.figure} | {self.baseline} | {self.ratio:.2f} | {self._judgement()} |"

    def _judgement(self) -> str:
        if self.mark is None:
            return "| "
        is_met = self.ratio >= self.mark if self.at_least else self.ratio <= self.mark
        return f"{'≥' if self.at_least else '≤'} {self.mark:g} | {'met' if is_met else 'not met'}"


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A part that failed, or that cannot be measured here."""

    label: str
    reason: str
    has_failed: bool

    def text(self) -> str:
        what, judgement = ("failed", "not met ") if self.has_failed else ("skipped", "")
        return f"| {self.label} | {what}: {' '.join(self.reason.split())} | | | | {judgement}|"


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement without a baseline."""

    label: str
    figure: str

    def text(self) -> str:
        return f"| {self.label} | {self.figure} | | | | |"


Row = Comparison | Measurement | NotMeasured


def markdown_table(rows: list[Row]) -> str:
    head = "| what | figure | baseline | ratio | mark | met? |\n|---|---|---|---:|---:|---|"
    return "\n".join([head, *(row.text() for row in rows)])


def write_results(rows: list[Row]) -> None:
    """Write RESULTS.md, with a description of the machine."""
    cores = os.cpu_count()
    machine = f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, {platform.system()}"
    RESULTS.write_text(
        "# Results\n\nWritten by `make bench`. Absolute figures depend on the machine. Compare only the ratios of one "
        f"run.\n\n{datetime.now(UTC):%Y-%m-%d}, {machine}: the server on one core, the load on the other.\n\n"
        f"{markdown_table(rows)}\n"
    )
