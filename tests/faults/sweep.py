"""All trials of one operation: each way to fail at each message, spread over the lanes."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence

from tests.faults.conftest import Lanes
from tests.faults.lanes import Lane
from tests.faults.proxy import Fault, Side
from tests.faults.running import KINDS, Way

MOST_MESSAGES = 400
"""No operation has that many: a sweep that goes on for ever is a mistake of the test."""

FAILURES = 5
"""After so many it stops."""

Choice = tuple[Way, Side, frozenset[str] | None]
Trial = Callable[[Lane, Fault | None, Way | None], Awaitable[bool]]
"""Runs the operation once and checks what must hold. Whether the fault has fired."""


class Sweep:
    """A way ends with the first trial whose fault does not fire: the operation has no more messages."""

    def __init__(self, lanes: Lanes, choices: Sequence[Choice], trial: Trial) -> None:
        self._lanes, self._trial = lanes, trial
        self._next = {(way, side): itertools.count(1) for way, side, _ in choices}
        self._unfinished = list(choices)
        self.trials = 0
        self.failures: list[str] = []

    async def run(self) -> None:
        """Raises AssertionError with what failed where."""
        lanes = await self._lanes.all()
        await self._try(lanes[0], None, None)  # what fails here is no fault's doing
        if not self.failures:
            await asyncio.gather(*(self._work(lane) for lane in lanes))
        assert not self.failures, "\n".join(self.failures)

    async def _work(self, lane: Lane) -> None:
        """Take one trial after another until none is left; a lane in which one failed is good for nothing more."""
        while self._unfinished and lane not in self._lanes.broken and len(self.failures) < FAILURES:
            way, side, types = choice = self._unfinished[self.trials % len(self._unfinished)]
            index = next(self._next[way, side])
            assert index < MOST_MESSAGES
            fired = await self._try(lane, Fault(KINDS[way], side, index, types), way)
            if not fired and choice in self._unfinished:
                self._unfinished.remove(choice)

    async def _try(self, lane: Lane, fault: Fault | None, way: Way | None) -> bool:
        self.trials += 1
        lane.fired = None
        what = f"{way} at {fault.side} message {fault.index}" if fault else "no fault"
        try:
            return await self._trial(lane, fault, way)
        except Exception as error:
            self._lanes.broken.add(lane)
            self.failures.append(f"{what} ({lane.fired}): {' '.join(repr(error).split())[:400]}")
            return True
