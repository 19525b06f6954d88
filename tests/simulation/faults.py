"""The faults of a run and their frequencies, drawn from the seed."""

import asyncio
from dataclasses import dataclass
from random import Random


class DatabaseAway(OSError):
    """The database could not be asked."""


class Defect(RuntimeError):
    """An exception that no code expects."""


@dataclass(slots=True)
class Faults:
    """How likely each fault is in this run; none any more after `stop`."""

    random: Random
    failing: float = 0.0
    hanging: float = 0.0
    defects: float = 0.0
    losing: float = 0.0
    is_active: bool = True
    is_down: bool = False

    @classmethod
    def drawn(cls, source: Random, *, defects: bool = True) -> "Faults":
        """Some runs are calm in one respect and rough in another."""
        return cls(
            source,
            failing=source.choice([0, 0.05, 0.3]),
            hanging=source.choice([0, 0, 0.02]),
            defects=source.choice([0, 0, 0.02]) if defects else 0,
            losing=source.choice([0, 0.1, 0.5]),
        )

    def happens(self, probability: float) -> bool:
        return self.is_active and self.random.random() < probability

    def stop(self) -> None:
        self.is_active = self.is_down = False

    async def ask_database(self) -> None:
        """Wait as long as a query takes. Raises DatabaseAway."""
        await asyncio.sleep(self.random.choice([0, 0.0005, 0.002, 0.01]))
        if self.is_down or self.happens(self.failing):
            raise DatabaseAway("connection reset")
        if self.happens(self.hanging):
            await asyncio.sleep(self.random.uniform(5, 30))
            raise DatabaseAway("timed out")
        if self.happens(0.1):
            await asyncio.sleep(self.random.uniform(0, 1))
            if self.is_down:
                raise DatabaseAway("connection reset")

    async def answer_from_database(self) -> None:
        """The answer is on its way, and may be lost. Raises DatabaseAway."""
        await asyncio.sleep(0)
        if self.is_down or self.happens(self.failing / 2):
            raise DatabaseAway("the answer was lost")

    def maybe_defect(self) -> None:
        """Raises Defect."""
        if self.happens(self.defects):
            raise Defect("an exception that nobody expects")
