"""A seeded event loop with virtual time: what happens in it depends on the seed alone.

Nothing waits: when no callback is ready the clock jumps to the next timer. Each step takes a few virtual microseconds.
In most seeds the callbacks that are ready run in a random order, as they would when sockets, timers and databases
answer in another order.
"""

import asyncio
import gc
import heapq
import itertools
import logging
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any
from unittest.mock import patch

from roomcast.core import clock

STEP_SECONDS = 5e-6
MAX_STEPS = 2_000_000


class Violation(AssertionError):
    """A promise of the system does not hold in this run."""


class SimulatedFuture(asyncio.Future[Any]):
    """Its hash is a number, not an address: sets of futures iterate in the same order in each run."""

    def __init__(self, *, loop: "SimulatedLoop") -> None:
        self.number = next(loop.numbers)
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SimulatedTask(asyncio.Task[Any]):
    def __init__(self, coroutine: Coroutine[Any, Any, Any], *, loop: "SimulatedLoop", **options: Any) -> None:
        self.number = next(loop.numbers)
        super().__init__(coroutine, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop(asyncio.BaseEventLoop):
    """`trace` is a checksum of all steps so far: equal traces are equal runs."""

    _ready: Any
    _scheduled: list[Any]

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.numbers = itertools.count(1)
        _numbers.clear()
        self.steps = self.trace = 0
        self.unhandled: list[str] = []
        self._virtual_now = 1000.0
        self._is_shuffled = self.random.random() < 0.8
        self.set_task_factory(_make_task)
        self.set_exception_handler(lambda _loop, context: self.unhandled.append(_described(context)))

    def time(self) -> float:
        return self._virtual_now

    def create_future(self) -> SimulatedFuture:
        return SimulatedFuture(loop=self)

    def _write_to_self(self) -> None:
        """There is no other thread to be woken by."""

    def _run_once(self) -> None:
        """Run one callback; the base class runs all that are ready, in the order in which they became so."""
        self._advance_clock()
        handle = self._next_handle()
        if handle._cancelled:
            return
        self.steps += 1
        self._virtual_now += STEP_SECONDS
        self.trace = zlib.crc32(b"%d %.6f" % (len(self._ready), self._virtual_now), self.trace)
        if self.steps > MAX_STEPS:
            raise Violation("the run does not end: something is busy without making progress")
        handle._run()

    def _advance_clock(self) -> None:
        timers = self._scheduled
        while timers and (timers[0]._cancelled or timers[0]._when <= self._virtual_now or not self._ready):
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if not timer._cancelled:
                self._virtual_now = max(self._virtual_now, timer._when)
                self._ready.append(timer)
        if not self._ready:
            raise Violation(f"nothing can run any more: {sorted(map(_name, asyncio.all_tasks(self)))} wait for ever")

    def _next_handle(self) -> Any:
        if self._is_shuffled and len(self._ready) > 1:
            self._ready.rotate(-self.random.randrange(len(self._ready)))
        return self._ready.popleft()

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        """Cancelled timers leave the heap when their time has come."""


def _make_task(loop: Any, coroutine: Any, **options: Any) -> Any:
    return SimulatedTask(coroutine, loop=loop, **options)


def _described(context: dict[str, Any]) -> str:
    return f"{context['message']}: {context.get('exception')!r}"


def _name(task: asyncio.Task[Any]) -> str:
    return task.get_name()


@contextmanager
def virtual_clocks(loop: SimulatedLoop) -> Iterator[None]:
    """`time.monotonic` and the product's clock show the loop's time; jitter is drawn from the seed."""

    class VirtualDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "VirtualDatetime":
            return cls.fromtimestamp(1_800_000_000 + loop.time(), tz or UTC)

    state = random.getstate()
    random.seed(loop.random.random())
    with patch.object(time, "monotonic", loop.time), patch.object(clock, "datetime", VirtualDatetime):
        try:
            yield
        finally:
            random.setstate(state)


def simulate(loop: SimulatedLoop, scenario: Callable[[SimulatedLoop], Awaitable[None]], *, quiet: bool = True) -> None:
    """Run the scenario to its end. Raises Violation, also for a task that is left behind and for an exception that
    nobody handled. Not `quiet`: the product's log lines are shown."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL if quiet else logging.NOTSET)
    gc.collect()  # and not while the run goes on: what it finalizes would be the run's business
    gc.disable()
    try:
        with virtual_clocks(loop):
            loop.run_until_complete(_checked(loop, scenario))
    finally:
        gc.enable()
        logging.disable(previous)
        _abandon(loop)


async def _checked(loop: SimulatedLoop, scenario: Callable[[SimulatedLoop], Awaitable[None]]) -> None:
    await scenario(loop)
    await asyncio.sleep(5)  # what ends by a timer of a few seconds may end
    left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    if left:
        raise Violation(f"tasks are left behind: {sorted(map(_name, left))}")
    if loop.unhandled:
        raise Violation(f"an exception reached nobody: {loop.unhandled[0]}")


def _abandon(loop: SimulatedLoop) -> None:
    """End what a failed run has left, so that the next run starts clean."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    for _ in range(10_000):
        if not loop._ready:
            break
        handle = loop._ready.popleft()
        if not handle._cancelled:
            handle._run()
    loop.set_exception_handler(lambda _loop, _context: None)
    loop.close()


def number_instances(*kinds: type[Any]) -> None:
    """Give instances hashes that count up, not addresses, so that sets of them iterate in the same order each run."""
    for kind in kinds:
        kind.__hash__ = _number_of  # type: ignore[assignment]


def _number_of(instance: Any) -> int:
    numbered, number = _numbers.get(id(instance), (None, 0))
    if numbered is not instance:
        number = next(asyncio.get_running_loop().numbers)  # type: ignore[attr-defined]
        _numbers[id(instance)] = instance, number
    return number


_numbers: dict[int, tuple[Any, int]] = {}
"""By address: the numbered instances of this run, which keep their address while they are here, and their numbers."""
