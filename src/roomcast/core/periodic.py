"""Periodic tasks, e.g. sweeping expired rows. The owner of a task starts and stops it."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from roomcast.core.outages import is_outage

logger = logging.getLogger("roomcast.periodic")


class PeriodicTask:
    """Runs `step` about every `seconds`, at random intervals. Each process has its own task, so several processes must
    be able to run the step at once. A step that fails runs again the next time."""

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
            await asyncio.sleep(self._seconds * random.uniform(0.5, 1.5))  # noqa: S311 (not a secret)
            try:
                await self._step()
            except Exception as error:
                if not is_outage(error):  # `Database` logs an outage once
                    logger.exception("%s failed", self._name)
