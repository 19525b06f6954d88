"""Measures a figure and its baseline in turns, so that other load on the machine affects both."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import log10
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
        """The row of the table, with figures of three digits or more."""
        texts = (f"{value:,.{max(2 - int(log10(value)), 0)}f} {unit}" for value in (self.figure, self.baseline))
        return Comparison(label, *texts, self.ratio, mark, at_least)


async def alternate(rounds: int, figure: Measure, baseline: Measure) -> Medians:
    pairs = [(await figure(), await baseline()) for _ in range(rounds)]
    figures, baselines = zip(*pairs, strict=True)
    return Medians(median(figures), median(baselines), median(figure / base for figure, base in pairs))
