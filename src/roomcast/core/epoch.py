"""The store's epoch as this process knows it. A cursor counts only in the epoch that it was made in.

A new epoch begins after a restore from backup, and when a process notices that the log has lost events: a failover to a
standby that lagged. All processes follow, because each of them looks at the epoch once a second.
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
    """`changed` is called when `current` has become another one."""

    current: UUID

    def __init__(self, db: Database, changed: Callable[[], None]) -> None:
        self._db, self._changed = db, changed
        self._known: set[UUID] = set()
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """What counts when the process starts."""
        async with self._db.read() as session:
            self.current = await event_log.epoch(session)
        self._known.add(self.current)

    async def poll(self) -> None:
        """Follow an epoch that was begun elsewhere."""
        async with self._lock:
            async with self._db.read() as session:
                found = await event_log.epoch(session)
            if found == self.current:
                return
            # A known one that has come back: a failover has lost the later one, so cursors of both are doubtful.
            self._adopt(await self._begin() if found in self._known else found)

    async def renew(self, since: UUID) -> None:
        """The log has lost events that were there in the epoch `since`: begin another one, unless that is done."""
        async with self._lock:
            if self.current == since:
                self._adopt(await self._begin())

    async def _begin(self) -> UUID:
        """The new epoch; that of another process if it was quicker."""
        async with self._db.work() as work:
            known = col(event_log.Store.epoch).in_(self._known)
            await work.session.exec(sa.update(event_log.Store).where(known).values(epoch=uuid7()))
            return await event_log.epoch(work.session)

    def _adopt(self, epoch: UUID) -> None:
        self.current = epoch
        self._known.add(epoch)
        self._changed()
