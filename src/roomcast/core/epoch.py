"""The epoch of the data, as this process knows it. A cursor is valid only in the epoch in which it was made.

A new epoch begins after a restore from a backup, when a standby of PostgreSQL was promoted, and when a process notices
that the log has lost events. Each process reads the epoch once a second and so follows the others.
"""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from sqlalchemy.exc import NotSupportedError, ProgrammingError

from roomcast.core import event_log
from roomcast.core.db import Database

logger = logging.getLogger("roomcast.epoch")


class Epoch:
    """`on_change` is called when `current` has changed."""

    current: UUID

    def __init__(self, db: Database, on_change: Callable[[], None]) -> None:
        self._db, self._on_change = db, on_change
        self._known: set[UUID] = set()
        self._has_timeline = True
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read the epoch when the process starts. Begins a new one if a standby was promoted while no process ran."""
        try:
            async with self._db.read() as session:
                await event_log.timeline(session)
        except (ProgrammingError, NotSupportedError) as error:  # this user may not ask, or it is no stock PostgreSQL
            logger.warning("the database does not tell its timeline, see `roomcast after-restore`: %s", error.orig)
            self._has_timeline = False
        found, is_promoted = await self._read()
        self._known.add(found)
        self.current = await self._begin() if is_promoted else found
        self._known.add(self.current)

    async def poll(self) -> None:
        """Adopt an epoch that another process has begun. Begins a new one if a standby was promoted."""
        async with self._lock:
            found, is_promoted = await self._read()
            if found == self.current and not is_promoted:
                return
            # An earlier epoch is back: a failover has lost the later one. Cursors of both may be wrong, so begin a
            # third.
            self._adopt(await self._begin() if found in self._known else found)

    async def renew(self, since: UUID) -> None:
        """Begin a new epoch because the log has lost events of the epoch `since`. Does nothing if `since` is over
        already."""
        async with self._lock:
            if self.current == since:
                self._adopt(await self._begin())

    async def _read(self) -> tuple[UUID, bool]:
        """The stored epoch, and whether the database is on another timeline than when it began.

        A promoted standby may lack the newest events. Their seqs are given again, so the ends of the logs show the loss
        only until the logs have grown past them.
        """
        async with self._db.read() as session:
            epoch, began_in = await event_log.epoch_and_timeline(session)
            present = await event_log.timeline(session) if self._has_timeline else None
        if began_in is None and present is not None:
            async with self._db.work() as work:
                await event_log.record_timeline(work.session, present)
        is_promoted = None not in (began_in, present) and began_in != present
        if is_promoted:
            logger.error("a standby was promoted (timeline %s, before %s); all streams start again", present, began_in)
        return epoch, is_promoted

    async def _begin(self) -> UUID:
        """Begin a new epoch and return it, or the one that another process has begun first."""
        async with self._db.work() as work:
            await event_log.begin_epoch(work.session, after=self._known)
            return await event_log.epoch(work.session)

    def _adopt(self, epoch: UUID) -> None:
        self.current = epoch
        self._known.add(epoch)
        self._on_change()
