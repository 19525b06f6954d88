"""Runs CPU-bound work on texts in a thread, so that it does not block the event loop.

There is one thread, because several threads that run Python make the event loop wait several times as long for the
interpreter lock. Each owner has one job in the queue at a time, so that a user with a thousand jobs delays others by
one job only.
"""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

P = ParamSpec("P")
R = TypeVar("R")

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="offload")
_LOCKS: "WeakValueDictionary[tuple[int, Hashable], asyncio.Lock]" = WeakValueDictionary()


async def offload(owner: Hashable, function: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
    """Call the function in the thread, after the earlier jobs of this owner. Returns or raises what it does."""
    loop = asyncio.get_running_loop()
    lock = _LOCKS.setdefault((id(loop), owner), asyncio.Lock())
    async with lock:
        return await loop.run_in_executor(_THREAD, lambda: function(*args, **named))
