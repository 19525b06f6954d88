"""CPU-bound work on texts, beside the event loop.

One thread: several of them that run Python keep the loop waiting for the interpreter lock several times as long. And
one job at a time for each owner: a person who asks for a thousand does not make others wait for more than one.
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
    """What the function returns, called in the thread when it is this owner's turn. Raises what it raises."""
    loop = asyncio.get_running_loop()
    lock = _LOCKS.setdefault((id(loop), owner), asyncio.Lock())
    async with lock:
        return await loop.run_in_executor(_THREAD, lambda: function(*args, **named))
