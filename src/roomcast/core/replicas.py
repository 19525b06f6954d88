"""Reads of messages from standbys of PostgreSQL, which never show less than the primary has shown.

Every visible change of a room's messages is an event with a seq under the room's head, written in the same transaction.
The caller reads the heads on the primary. A standby may answer if, in the transaction of the read itself, its own heads
are at least as high and its epoch is the present one. So a client sees whatever it has written, and whatever it has
seen, through any process. A standby that is behind is waited for a moment; then the primary answers.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.db import Database
from roomcast.core.direct_queries import fetch
from roomcast.core.outages import is_lock_failure, is_outage

CHECK_SECONDS = 0.5
"""How long a standby may take to connect and to tell its heads. One that takes longer is left out."""

QUERY_SECONDS = 3.0
"""How long a query may take on a standby. After that the primary is asked."""

WAIT_SECONDS, RECHECK_SECONDS = 0.1, 0.01
"""How long a read waits for a standby that is behind, and how often it looks."""

BEHIND_SECONDS = 0.5
"""After a wait in vain no read waits for this standby for so long. It still answers for rooms in which nothing
happened."""

PROBE_SECONDS = 1.0
"""How often each standby is checked in the background, also one that is left out."""

Heads = Mapping[UUID, int]
"""By room id: the last seq that the primary has shown."""

Result = TypeVar("Result")
Query = Callable[[AsyncSession], Awaitable[Result]]

logger = logging.getLogger("roomcast.db")


class NoReplica(Exception):
    """No standby can answer now: ask the primary."""


class Behind(Exception):
    """The standby has not replayed enough yet."""


class Unfit(Exception):
    """The server is no standby of this database. The message says why."""


@dataclass(slots=True)
class ReplicaStats:
    """Reads that it answered; that waited for it; that went elsewhere because it was behind; because it failed or did
    not answer in time."""

    answered: int = 0
    waited: int = 0
    behind: int = 0
    failed: int = 0


class Replica:
    """One standby. `is_usable`: whether its last check succeeded; until the first one it is left out."""

    def __init__(self, url: str, pool_size: int, epoch: Callable[[], UUID]) -> None:
        place = urlsplit(url)
        self.name = f"{place.hostname or 'local'}:{place.port or 5432}"
        self.stats = ReplicaStats()
        self.is_usable = False
        self.lag_seconds = 0.0
        self._epoch = epoch
        self._db = Database(url, pool_size=pool_size)
        self._db.answer_seconds = CHECK_SECONDS
        self._slots = asyncio.Semaphore(pool_size)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waits_again_at = 0.0

    @property
    def is_awaited(self) -> bool:
        """Whether waiting for it may help: it has not been waited for in vain just now."""
        return time.monotonic() >= self._waits_again_at

    async def read(self, heads: Heads, query: Query[Result]) -> Result:
        """Run the query in a transaction that shows at least these heads. Raises Behind, NoReplica, and what the query
        raises.

        The work is done in a task of its own, which is left alone when the time is over: SQLAlchemy gives a cancelled
        connection two seconds to close.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise NoReplica from None
        checked = asyncio.Event()
        task = asyncio.create_task(self._read(heads, query, checked), name=f"read from {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._on_end)
        try:
            await asyncio.wait({task}, timeout=CHECK_SECONDS)
            if checked.is_set():
                await asyncio.wait({task}, timeout=QUERY_SECONDS)
            return self._result_of(task)
        finally:
            task.cancel()

    async def _read(self, heads: Heads, query: Query[Result], checked: asyncio.Event) -> Result:
        async with self._db.read() as session:
            await self._check(session, heads)
            checked.set()
            return await query(session)

    def _result_of(self, task: "asyncio.Task[Result]") -> Result:
        try:
            if not task.done():
                raise TimeoutError
            result = task.result()
        except Unfit as error:
            self._leave_out(str(error))
        except Exception as error:
            if not isinstance(error, DBAPIError) and not is_outage(error):
                raise  # of the query itself, or Behind
            # A query that is in the way of the replay is cancelled (40001); the standby works.
            if is_outage(error) and not is_lock_failure(error):
                self._leave_out(type(error).__name__)
        else:
            self.stats.answered += 1
            return result
        self.stats.failed += 1
        raise NoReplica

    def _on_end(self, task: "asyncio.Task[Any]") -> None:
        self._slots.release()
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved: nobody may wait for it any more

    async def wait(self, heads: Heads, query: Query[Result]) -> Result:
        """As `read`, but looks again until the standby has replayed enough. Raises Behind after WAIT_SECONDS."""
        self.stats.waited += 1
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                return await self.read(heads, query)
            except Behind:
                continue
        self._waits_again_at = time.monotonic() + BEHIND_SECONDS
        raise Behind

    async def probe(self) -> None:
        """Check it in the background. It is used again once it answers."""
        try:
            async with asyncio.timeout(CHECK_SECONDS if self.is_usable else PROBE_SECONDS), self._db.read() as session:
                await self._check(session, {})
                [(lag,)] = await fetch(session, LAG)
        except Exception as error:  # drivers raise many kinds of errors
            self._leave_out(str(error) if isinstance(error, Unfit) else type(error).__name__)
            return
        self.lag_seconds = float(lag)
        if not self.is_usable:
            logger.info("the replica %s is used", self.name)
            self.is_usable = True

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._db.close()

    async def _check(self, session: AsyncSession, heads: Heads) -> None:
        """Raises Unfit or Behind. It is the first statement of the transaction, so it tells what the query will see."""
        values = {"ids": list(heads), "seqs": list(heads.values())}
        [(is_standby, epoch, reached)] = await fetch(session, _CHECK.bindparams(**values))
        if not is_standby:
            raise Unfit("it is no standby")
        if epoch != self._epoch():
            raise Unfit("its data are of another epoch")
        if reached < len(heads):
            raise Behind

    def _leave_out(self, reason: str) -> None:
        if self.is_usable:
            logger.warning("the replica %s is left out until it answers again: %s", self.name, reason)
        self.is_usable = False


_CHECK = sa.text(
    "SELECT pg_is_in_recovery() AS is_standby, (SELECT epoch FROM store) AS epoch, "
    "(SELECT count(*) FROM unnest(:ids, :seqs) AS wanted (room_id, seq) "
    "JOIN room_heads ON room_heads.room_id = wanted.room_id AND room_heads.last_seq >= wanted.seq) AS reached"
).bindparams(
    sa.bindparam("ids", type_=postgresql.ARRAY(sa.Uuid())),
    sa.bindparam("seqs", type_=postgresql.ARRAY(sa.BigInteger())),
)

LAG = sa.text(
    "SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 "
    "ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) END"
)


class Replicas:
    """The standbys of one database. `primary_reads` counts reads that none of them could answer."""

    def __init__(self, urls: Sequence[str], pool_size: int, epoch: Callable[[], UUID]) -> None:
        self.all = [Replica(url, pool_size, epoch) for url in urls]
        self.primary_reads = 0
        self._turn = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await asyncio.gather(*(replica.probe() for replica in self.all))
        self._task = asyncio.create_task(self._keep_probing(), name="replicas")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await asyncio.gather(*(replica.close() for replica in self.all))

    async def read(self, heads: Heads, query: Query[Result]) -> Result:
        """Run the query on a standby that shows at least these heads. Raises NoReplica, and what the query raises."""
        behind: list[Replica] = []
        for replica in self._usable():
            try:
                return await replica.read(heads, query)
            except Behind:
                behind.append(replica)
            except NoReplica:
                continue
        for replica in [each for each in behind if each.is_awaited][:1]:
            try:
                return await replica.wait(heads, query)
            except (Behind, NoReplica):
                pass
        for replica in behind:
            replica.stats.behind += 1
        self.primary_reads += 1
        raise NoReplica

    def _usable(self) -> Iterator[Replica]:
        """Each time another one first."""
        self._turn += 1
        ordered = self.all[self._turn % len(self.all) :] + self.all[: self._turn % len(self.all)]
        return (replica for replica in ordered if replica.is_usable)

    async def _keep_probing(self) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await asyncio.gather(*(replica.probe() for replica in self.all))
