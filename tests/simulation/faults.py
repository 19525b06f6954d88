"""What goes wrong, drawn from the seed: a database that fails, hangs or is slow, a bus that loses and mixes up."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random

from roomcast.realtime.bus import Frame


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


class LossyBus:
    """One process's place on a bus that loses, repeats, delays and reorders frames, mostly in silence.

    It keeps the one promise of the real one: the first join of a topic is followed by a resync of it.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.joined: dict[str, int] = {}
        self.on_frame: Callable[[Frame], None]
        self.on_resync: Callable[[Collection[str]], None]

    def join(self, topic: str) -> None:
        self.joined[topic] = self.joined.get(topic, 0) + 1
        if self.joined[topic] == 1:
            self._later(self._resync, topic)

    def leave(self, topic: str) -> None:
        self.joined[topic] -= 1
        if not self.joined[topic]:
            del self.joined[topic]

    def carry(self, frame: Frame) -> None:
        """A frame that some process published is on its way to this one."""
        while True:
            if self._faults.happens(self._faults.losing):
                if self._faults.happens(0.2):  # mostly nobody knows that it was lost
                    self._later(self._resync, frame.topic)
            else:
                self._later(self._deliver, frame)
            if not self._faults.happens(0.1):  # repeated
                return

    def _later(self, step: "Callable[[Frame], None] | Callable[[str], None]", what: "Frame | str") -> None:
        late = self._faults.random.choice([0, 0, 0.001, 0.03, 1.0]) if self._faults.is_active else 0.001
        asyncio.get_running_loop().call_later(late * self._faults.random.random(), step, what)  # type: ignore[arg-type]

    def _deliver(self, frame: Frame) -> None:
        if frame.topic in self.joined:
            self.on_frame(frame)

    def _resync(self, topic: str) -> None:
        if topic in self.joined:
            self.on_resync([topic])
