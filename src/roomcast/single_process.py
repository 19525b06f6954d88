"""Refuses a second server process where several would lose events: with SQLite, and with the bus `memory://`.

A process that starts checks this before it imports SQLAlchemy and Strawberry: most of a start are these imports, and an
operator learns of the mistake at once. So this module imports neither.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

from roomcast.core.process_lock import AlreadyRunning, FileLock, sqlite_lock_path
from roomcast.data_folder import data_folder
from roomcast.environment import source
from roomcast.settings import Settings, WrongSetting

MEMORY_BUS_IN_USE = (
    "ROOMCAST_BUS_URL: another server process uses this database, and memory:// connects no other processes. Stop the "
    "other one, or set the same redis://, nats:// or postgresql:// address for all of them"
)


class ProcessLock:
    """`check` comes first in a process that starts; `held` holds the lock while the app runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = FileLock(sqlite_lock_path(settings.database_url)) if settings.is_sqlite else None
        self._needs_advisory_lock = not settings.is_sqlite and settings.bus_url.startswith("memory:")

    def check(self) -> None:
        """Raise WrongSetting if another server process holds the lock now. Afterwards it is free, also for a process
        that is forked from this one (`gunicorn --preload`)."""
        if self._file is not None:
            self.lock_file()
            self._file.release()
        elif self._needs_advisory_lock:
            from roomcast.core.advisory_lock import is_taken  # noqa: PLC0415 (not loaded with SQLite)

            with ThreadPoolExecutor(1) as thread:  # the workers of uvicorn import the app inside their event loop
                taken = thread.submit(asyncio.run, is_taken(self._settings.database_direct_url)).result()
            if taken:
                raise WrongSetting(MEMORY_BUS_IN_USE)

    def lock_file(self) -> None:
        """Take the lock of the SQLite file now, before `held` does; does nothing with PostgreSQL, where the lock
        belongs to a connection, which needs the event loop of `held`. Raises WrongSetting."""
        if self._file is None:
            return
        data_folder(self._settings)
        try:
            self._file.acquire()
        except AlreadyRunning as running:
            raise WrongSetting(
                f"ROOMCAST_DATABASE_URL: another server uses this SQLite database ({running}), which works with one "
                "process only. Stop the other one and start one process without workers; or set ROOMCAST_DATABASE_URL "
                "to a postgresql:// address and ROOMCAST_BUS_URL to a redis:// address"
            ) from None
        except OSError as error:
            raise WrongSetting(
                f"ROOMCAST_DATABASE_URL: {self._file.path} cannot be written ({error.strerror})"
            ) from None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the lock during the block. Raises WrongSetting if another server process holds it."""
        async with AsyncExitStack() as stack:
            if self._file is not None:
                stack.callback(self._file.release)
                self.lock_file()
            elif self._needs_advisory_lock:
                await self._hold_advisory_lock(stack)
            yield

    async def _hold_advisory_lock(self, stack: AsyncExitStack) -> None:
        from roomcast.core.advisory_lock import AdvisoryLock  # noqa: PLC0415 (not loaded with SQLite)
        from roomcast.core.migrations import driver_errors  # noqa: PLC0415 (SQLAlchemy, see above)

        lock = AdvisoryLock(self._settings.database_direct_url)
        stack.push_async_callback(lock.close)
        try:
            await lock.acquire()
        except AlreadyRunning:
            raise WrongSetting(MEMORY_BUS_IN_USE) from None
        except driver_errors() as error:
            raise WrongSetting(f"{source('database_url')}: the database cannot be used: {error}") from None
