"""The epoch of the data, as this process knows it. A cursor is valid only in the epoch in which it was made.

A new epoch begins after a restore from a backup, and when a process notices that the log has lost events, e.g. in a
failover to a standby that lagged behind. Each process reads the epoch once a second and so follows the others.
"""

import asyncio
from collections.abc import Callable
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col

from roomcast.core import event_log
from roomcast.core.db import Database
from roomcast.core.ids import uuid7


class Epoch:
    """`on_change` is called when `current` has changed."""

    current: UUID

    def __init__(self, db: Database, on_change: Callable[[], None]) -> None:
        self._db, self._on_change = db, on_change
        self._known: set[UUID] = set()
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read the epoch when the process starts."""
        async with self._db.read() as session:
            self.current = await event_log.epoch(session)
        self._known.add(self.current)

    async def poll(self) -> None:
        """Adopt an epoch that another process has begun."""
        async with self._lock:
            async with self._db.read() as session:
                found = await event_log.epoch(session)
            if found == self.current:
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

    async def _begin(self) -> UUID:
        """Begin a new epoch and return it, or the one that another process has begun first."""
        async with self._db.work() as work:
            known = col(event_log.Store.epoch).in_(self._known)
            await work.session.exec(sa.update(event_log.Store).where(known).values(epoch=uuid7()))
            return await event_log.epoch(work.session)

    def _adopt(self, epoch: UUID) -> None:
        self.current = epoch
        self._known.add(epoch)
        self._on_change()
