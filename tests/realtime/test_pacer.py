"""The pacer: a rate that callers share fairly."""

import asyncio
import time

from roomcast.realtime.pacer import Pacer


async def test_keys_take_turns_and_the_rate_holds() -> None:
    pacer, done = Pacer(1_000), list[str]()

    async def spend(key: str) -> None:
        await pacer.wait(key, 20)
        done.append(key)

    began = time.monotonic()
    await asyncio.gather(*(spend("greedy") for _ in range(10)), spend("modest"))
    assert done.index("modest") <= 2  # the first of the other key does not wait, and one more may be before it
    assert time.monotonic() - began >= 0.2 - 0.02  # ten times 20 ms before the last of eleven


async def test_a_cancelled_caller_spends_nothing() -> None:
    pacer = Pacer(1_000)
    await pacer.wait("first", 50)
    waiting = [asyncio.create_task(pacer.wait("gone", 60_000)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    async with asyncio.timeout(5):  # the five together would have taken five minutes
        await pacer.wait("other", 50)


async def test_a_caller_that_needs_nothing_any_more_spends_nothing() -> None:
    pacer, is_cached = Pacer(1_000), list[bool]()
    await pacer.wait("first", 50)
    same = [pacer.wait(f"client {number}", 60_000, lambda: bool(is_cached)) for number in range(100)]
    is_cached.append(True)
    async with asyncio.timeout(5):
        await asyncio.gather(*same)
        await pacer.wait("other", 50)
