"""Checks for the readiness endpoint, which load balancers call: does the database accept writes, does a folder?"""

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from roomcast.core import event_log
from roomcast.core.db import Database

READY_SECONDS = 2.0
"""How long a check may take. After that it counts as failed."""

CACHE_SECONDS = 1.0
"""How long a result is reused. It limits the writes, however often the endpoint is called."""

SPACE_BYTES = 256 * 1024
"""Bytes that a folder has to take. SQLite writes into space that its files already have, so its own writes succeed for
some time on a full disk."""

logger = logging.getLogger("roomcast.health")


class Probe:
    """One check, made when it is asked for and shared by all callers of the same second.

    `check` raises an exception with the reason if something does not work. `is_ok` is the last result. A check that
    hangs is not repeated until it has ended, and the answer comes after READY_SECONDS nevertheless.
    """

    def __init__(self, subject: str, check: Callable[[], Awaitable[None]]) -> None:
        self.is_ok = True
        self._subject, self._check = subject, check
        self._task: asyncio.Task[None] | None = None
        self._began_at = self._ended_at = 0.0

    async def __call__(self, seconds: float = READY_SECONDS) -> bool:
        """The result of this check. The last result where it takes more than `seconds`."""
        if self._task is None or (self._task.done() and time.monotonic() - self._ended_at > CACHE_SECONDS):
            self._began_at = time.monotonic()
            self._task = asyncio.create_task(self._run(), name=f"check of {self._subject}")
        # Not `wait_for`: cancelling a database driver waits for the database, too.
        left = self._began_at + READY_SECONDS - time.monotonic()
        await asyncio.wait([self._task], timeout=max(0, min(seconds, left)))
        if not self._task.done() and left <= seconds:
            self._report("it does not answer")
        return self.is_ok

    async def close(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._check()
        except Exception as error:  # drivers raise many kinds
            self._report(str(getattr(error, "orig", None) or error).partition("\n")[0] or type(error).__name__)
        else:
            self._report(None)
        finally:
            self._ended_at = time.monotonic()

    def _report(self, problem: str | None) -> None:
        """Log a change, not every failure: the endpoint is called every few seconds."""
        if self.is_ok and problem is not None:
            logger.warning("readiness: %s cannot be written: %s", self._subject, problem)
        elif not self.is_ok and problem is None:
            logger.info("readiness: %s can be written again", self._subject)
        self.is_ok = problem is None


def database_probe(db: Database) -> Probe:
    """Whether a small write can be committed, and whether the disk of an SQLite file has space. PostgreSQL is asked for
    space only after it has reported a full disk."""

    async def check() -> None:
        if db.path is not None:
            await asyncio.to_thread(_fill, db.path.parent)
        async with db.work() as work:
            await event_log.prove_writable(work.session)
            if db.outages.disk_was_full:
                await event_log.prove_space(work.session)
        db.outages.disk_was_full = False

    return Probe("the database", check)


def folder_probe(folder: Path) -> Probe:
    """Whether the folder takes new files."""
    return Probe("the data folder", lambda: asyncio.to_thread(_fill, folder))


def _fill(folder: Path) -> None:
    """Raises OSError if the folder has no room for SPACE_BYTES, or cannot be written at all."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(SPACE_BYTES))
