"""Work that comes round again and again, e.g. sweeping: one task that its owner starts and stops."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

log = logging.getLogger("roomcast.periodic")


class PeriodicTask:
    """Does `step` about every `seconds`. Each process has its own, at moments of chance, so the step must be harmless
    when several do it. A step that fails is tried again the next time."""

    def __init__(self, name: str, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        self._name, self._seconds, self._step = name, seconds, step
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds * random.uniform(0.5, 1.5))  # noqa: S311 (no secret)
            try:
                await self._step()
            except Exception:
                log.exception("%s failed", self._name)
