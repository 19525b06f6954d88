"""The fair limiter: a few callers continue in each pass of the event loop, in order."""

import asyncio

from roomcast.realtime.fair_limiter import FairLimiter

MANY, EACH_PASS = 100, 10


class Passes:
    """Counts the passes of the event loop: in each of them other tasks get a turn."""

    def __init__(self) -> None:
        self.count = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_many_callers_continue_in_order_a_few_in_each_pass() -> None:
    turns, passes = FairLimiter(EACH_PASS), Passes()
    served: list[tuple[int, int]] = []

    async def take_turn(number: int) -> None:
        await turns.acquire()
        served.append((number, passes.count))

    await asyncio.gather(*(take_turn(number) for number in range(MANY)))
    assert [number for number, _ in served] == list(range(MANY))
    moments = [at for _, at in served]
    assert max(moments.count(at) for at in set(moments)) <= EACH_PASS
    await passes.end()


async def test_a_single_caller_does_not_wait() -> None:
    turns, passes = FairLimiter(EACH_PASS), Passes()
    await turns.acquire()
    assert passes.count == 0
    await passes.end()


async def test_a_caller_cancelled_while_waiting_takes_no_turn() -> None:
    turns = FairLimiter(1)
    waiting = [asyncio.create_task(turns.acquire()) for _ in range(MANY)]
    await asyncio.sleep(0)
    for task in waiting[1:-1]:
        task.cancel()
    async with asyncio.timeout(1):
        await waiting[-1]


async def test_an_idle_limiter_schedules_nothing() -> None:
    turns = FairLimiter(EACH_PASS)
    await turns.acquire()
    for _ in range(3):
        await asyncio.sleep(0)
    assert turns._passing is None
