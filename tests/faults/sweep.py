"""Runs all trials of one operation: each kind of fault at each message, distributed over the lanes."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence

from tests.delivery.resuming_clients import FULL
from tests.faults.conftest import Lanes
from tests.faults.lanes import Lane
from tests.faults.proxy import Fault, Side
from tests.faults.running import KINDS, FaultType

MOST_MESSAGES = 400
"""No operation has so many messages. More means that the sweep does not end because of an error in the test."""

STEP = 1 if FULL else 2
"""The long form (`make chaos`) injects each kind of fault at every message, the short form at every second one. Half of
the kinds start with the first message and half with the second, so that no message is left out."""

FAILURES = 5
"""The sweep stops after this number of failures."""

Choice = tuple[FaultType, Side, frozenset[str] | None]
Trial = Callable[[Lane, Fault | None, FaultType | None], Awaitable[bool]]
"""Runs the operation once and checks what must hold. Returns whether the fault has fired."""


class Sweep:
    """A kind of fault is finished with the first trial in which it does not fire: the operation has no more
    messages."""

    def __init__(self, lanes: Lanes, choices: Sequence[Choice], trial: Trial) -> None:
        self._lanes, self._trial = lanes, trial
        self._next = {
            (fault_type, side): itertools.count(1 + number % STEP, STEP)
            for number, (fault_type, side, _) in enumerate(choices)
        }
        self._unfinished = list(choices)
        self.trials = 0
        self.failures: list[str] = []

    async def run(self) -> None:
        """Run all trials. Raises AssertionError with the failures and their messages."""
        lanes = await self._lanes.all()
        await self._try(lanes[0], None, None)  # a failure here is not caused by a fault
        if not self.failures:
            await asyncio.gather(*(self._work(lane) for lane in lanes))
        assert not self.failures, "\n".join(self.failures)

    async def _work(self, lane: Lane) -> None:
        """Run trials in this lane until none is left or one has failed in it."""
        while self._unfinished and lane not in self._lanes.broken and len(self.failures) < FAILURES:
            fault_type, side, types = choice = self._unfinished[self.trials % len(self._unfinished)]
            index = next(self._next[fault_type, side])
            assert index < MOST_MESSAGES
            fired = await self._try(lane, Fault(KINDS[fault_type], side, index, types), fault_type)
            if not fired and choice in self._unfinished:
                self._unfinished.remove(choice)

    async def _try(self, lane: Lane, fault: Fault | None, fault_type: FaultType | None) -> bool:
        self.trials += 1
        lane.fired = None
        what = f"{fault_type} at {fault.side} message {fault.index}" if fault else "no fault"
        try:
            return await self._trial(lane, fault, fault_type)
        except Exception as error:
            self._lanes.broken.add(lane)
            self.failures.append(f"{what} ({lane.fired}): {' '.join(repr(error).split())[:400]}")
            return True
