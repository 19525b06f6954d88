"""A cache of replayed ranges: a range that was read and encoded for one reader serves others for a short time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from roomcast.realtime.bundle import EncodedEvent
from roomcast.realtime.ring import RING_BYTES, ByteBudget

SHARED_SECONDS = 2.0
"""How long a range serves other readers. Short, because its messages may be edited meanwhile."""

Range: TypeAlias = tuple[int, int]
Read: TypeAlias = Callable[[int, int], Awaitable[list[EncodedEvent]]]


class ReplayCache:
    """`read` reads and encodes a range. Concurrent requests for the same range share one read. `budget` limits the
    bytes that the process holds."""

    def __init__(self, name: str, read: Read, budget: ByteBudget) -> None:
        self.held = 0
        self._name, self._read, self._budget = name, read, budget
        self._tasks: dict[Range, asyncio.Task[list[EncodedEvent]]] = {}
        self._sizes: dict[Range, int] = {}
        """The ranges that have been read."""

    def __len__(self) -> int:
        return len(self._tasks)

    async def get(self, start: int, end: int) -> list[EncodedEvent]:
        key = start, end
        if key not in self._tasks:
            self._tasks[key] = task = asyncio.create_task(self._fetch(key), name=f"replay {self._name}")
            task.add_done_callback(_retrieve_exception)
        # Shielded: the read goes on for the others when the reader that began it has stopped.
        return await asyncio.shield(self._tasks[key])

    async def _fetch(self, key: Range) -> list[EncodedEvent]:
        # After each wait `clear` may have removed this read, and another one may have taken its key.
        task = asyncio.current_task()
        try:
            events = await self._read(*key)
        except BaseException:
            if self._tasks.get(key) is task:
                del self._tasks[key]  # the next request tries again
            raise
        if self._tasks.get(key) is task:
            self._store(key, sum(len(payload or b"") for _, payload in events))
            asyncio.get_running_loop().call_later(SHARED_SECONDS, self._expire, key, task)
        return events

    def _store(self, key: Range, size: int) -> None:
        self._sizes[key] = size
        self.held += size
        self._budget.grow(self, size)
        while self.held > RING_BYTES:
            self.shed()

    def _expire(self, key: Range, task: object) -> None:
        if self._tasks.get(key) is task:
            self._remove(key)

    def _remove(self, key: Range) -> None:
        self._tasks.pop(key)
        size = self._sizes.pop(key, 0)
        self.held -= size
        self._budget.shrink(self, size)

    def shed(self) -> None:
        """Remove the oldest range."""
        self._remove(next(iter(self._sizes)))

    def clear(self) -> list[asyncio.Task[list[EncodedEvent]]]:
        """Remove all ranges. Returns the reads that are still running."""
        reading = [task for key, task in self._tasks.items() if key not in self._sizes]
        for key in list(self._tasks):
            self._remove(key)
        return reading


def _retrieve_exception(task: "asyncio.Task[list[EncodedEvent]]") -> None:
    """Mark the exception as seen: if every reader that waited has stopped, asyncio would log it as never retrieved."""
    if not task.cancelled():
        task.exception()
