"""Ranges of a log that were read and encoded for one reader and serve others, for a moment and within bounds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from roomcast.realtime.ring import RING_BYTES, ByteBudget

SHARED_SECONDS = 2.0
"""How long a replayed block serves others. Short: what it shows may have been edited since."""

Shown: TypeAlias = tuple[int, bytes | None]
Range: TypeAlias = tuple[int, int]


class ReplayCache:
    """`read` gets a range and answers with what is shown of it. Who asks for one that is being read waits for it."""

    def __init__(self, name: str, read: Callable[[int, int], Awaitable[list[Shown]]], budget: ByteBudget) -> None:
        self.held = 0
        self._name, self._read, self._budget = name, read, budget
        self._tasks: dict[Range, asyncio.Task[list[Shown]]] = {}
        self._sizes: dict[Range, int] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    async def get(self, start: int, end: int) -> list[Shown]:
        key = start, end
        if key not in self._tasks:
            self._tasks[key] = task = asyncio.create_task(self._fetch(key), name=f"replay {self._name}")
            task.add_done_callback(_retrieve)
        return await asyncio.shield(self._tasks[key])

    async def _fetch(self, key: Range) -> list[Shown]:
        task = asyncio.current_task()
        try:
            shown = await self._read(*key)
        except BaseException:
            if self._tasks.get(key) is task:
                del self._tasks[key]  # the next one to ask tries again
            raise
        if self._tasks.get(key) is task:
            self._keep(key, sum(len(payload or b"") for _, payload in shown))
            asyncio.get_running_loop().call_later(SHARED_SECONDS, self._forget, key, task)
        return shown

    def _keep(self, key: Range, size: int) -> None:
        self._sizes[key] = size
        self.held += size
        self._budget.grow(self, size)
        while self.held > RING_BYTES:
            self.shed()

    def _forget(self, key: Range, task: object) -> None:
        if self._tasks.get(key) is task:
            self._drop(key)

    def _drop(self, key: Range) -> None:
        self._tasks.pop(key)
        size = self._sizes.pop(key, 0)
        self.held -= size
        self._budget.shrink(self, size)

    def shed(self) -> None:
        self._drop(next(iter(self._sizes)))

    def clear(self) -> list[asyncio.Task[list[Shown]]]:
        """Serve nobody any more with what there is. The reads that are still under way."""
        reading = [task for key, task in self._tasks.items() if key not in self._sizes]
        for key in list(self._tasks):
            self._drop(key)
        return reading


def _retrieve(task: "asyncio.Task[list[Shown]]") -> None:
    """Those who waited for it may have gone: then nobody else asks for its exception, and asyncio would log it."""
    if not task.cancelled():
        task.exception()
