"""Checks whether the database accepts writes, for the readiness endpoint that load balancers call."""

import asyncio
import logging
import time

from roomcast.core import event_log
from roomcast.core.db import Database

READY_SECONDS = 2.0
"""How long the database may take for one small write."""

CACHE_SECONDS = 1.0
"""How long a result is reused. It limits the writes, however often the endpoint is called."""

logger = logging.getLogger("roomcast.db")


class WriteProbe:
    """Whether a small write can be committed now, or could be within the last second."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._task: asyncio.Task[bool] | None = None
        self._ended_at = 0.0

    async def __call__(self) -> bool:
        if self._task is None or (self._task.done() and time.monotonic() - self._ended_at > CACHE_SECONDS):
            self._task = asyncio.create_task(self._probe(), name="write probe")
        return await asyncio.shield(self._task)

    async def close(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(READY_SECONDS), self._db.work() as work:
                await event_log.prove_writable(work.session)
        except Exception as error:
            logger.warning("the database accepts no writes: %s", type(error).__name__)
            return False
        finally:
            self._ended_at = time.monotonic()
        return True
