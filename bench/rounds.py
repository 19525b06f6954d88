"""Measures a figure and its baseline in turns, so that other load on the machine affects both."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

from bench.table import Comparison

Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Medians:
    """`ratio` is the median of the rounds' ratios of figure to baseline."""

    figure: float
    baseline: float
    ratio: float

    def comparison(self, label: str, unit: str, mark: float | None, *, at_least: bool = False) -> Comparison:
        figure, baseline = f"{_digits(self.figure)} {unit}", f"{_digits(self.baseline)} {unit}"
        return Comparison(label, figure, baseline, self.ratio, mark, at_least)


def _digits(value: float) -> str:
    """Three digits, and no fewer than the integer has."""
    return f"{value:,.{sum(abs(value) < limit for limit in (1, 10, 100))}f}"


async def alternate(rounds: int, figure: Measure, baseline: Measure) -> Medians:
    pairs = [(await figure(), await baseline()) for _ in range(rounds)]
    figures, baselines = zip(*pairs, strict=True)
    return Medians(median(figures), median(baselines), median(figure / base for figure, base in pairs))
