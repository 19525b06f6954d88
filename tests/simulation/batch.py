"""Group commits (`core.group_commit`) and coalesced loads (`core.db.CoalescingLoader`) over a database that fails.

A transaction may fail before its commit, or after it so that the answer is lost, or hang; callers go away at any await.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy.exc import IntegrityError, OperationalError

from roomcast.core.db import CoalescingLoader
from roomcast.core.errors import Conflict, OutcomeUnknown, Refused, Unavailable
from roomcast.core.group_commit import GroupCommit
from roomcast.core.outages import OutageLog
from tests.simulation.faults import DatabaseAway, Defect, Faults
from tests.simulation.loop import SimulatedLoop, Violation

FAILURES = (Refused, OutcomeUnknown, TimeoutError, OperationalError, IntegrityError, DatabaseAway, Defect)
"""How a call may fail without a promise being broken."""

FAULTY_SECONDS = 5.0
ANSWER_SECONDS = 5.0
"""Without faults every call is answered within these."""


@dataclass(eq=False, slots=True)
class Call:
    """One wish to store a row. `id`: the row's key, given before the call. `is_refused`: the rules turn it down."""

    id: int
    room: int
    is_refused: bool
    gone_at: float = 1e18
    has_begun: bool = False


@dataclass(slots=True)
class Table:
    """The committed rows, by key, how often each was changed, and the rooms that somebody else has locked."""

    rows: dict[int, int] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    locked: set[int] = field(default_factory=set)


class FakeWork:
    """A transaction: what it writes is seen by others once it is committed."""

    def __init__(self, table: Table, *, skips_locked_rooms: bool) -> None:
        self.table, self.written, self.skips_locked_rooms = table, dict[int, int](), skips_locked_rooms
        self.began_at = asyncio.get_running_loop().time()

    async def begin(self) -> None:
        await asyncio.sleep(0)


class FakeDatabase:
    """`core.db.Database`, as far as GroupCommit and CoalescingLoader use it. A key is unique."""

    is_sqlite = False
    answer_seconds = 3.0
    outages = OutageLog()

    def __init__(self, table: Table, faults: Faults) -> None:
        self._table, self._faults = table, faults

    @asynccontextmanager
    async def work(
        self, *, skips_locked_rooms: bool = False, traces: Sequence[str] = (), through_driver: bool = False
    ) -> AsyncIterator[FakeWork]:
        """Raises OutcomeUnknown where the commit is not confirmed: it happened in some of these cases."""
        work = FakeWork(self._table, skips_locked_rooms=skips_locked_rooms)
        await asyncio.sleep(0)
        yield work
        try:
            await asyncio.shield(self._commit(work))  # nobody cancels a commit
        except OperationalError as error:
            raise OutcomeUnknown from error

    async def _commit(self, work: FakeWork) -> None:
        await self._step()
        if work.written.keys() & self._table.rows.keys():
            raise IntegrityError("INSERT", None, Exception("duplicate key"))
        self._table.rows |= work.written
        await self._step()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Table]:
        await self._step()
        yield self._table
        await self._step()

    async def _step(self) -> None:
        try:
            await self._faults.ask_database()
        except DatabaseAway as error:
            raise OperationalError("COMMIT", None, error) from error


class StoringGroups(GroupCommit[Call, int]):
    """Stores the rows of a group with `store`; the calls of one room share a lock."""

    uses_lanes = True

    def __init__(self, db: Any, store: Callable[[Any, Sequence[Call]], Awaitable[Sequence[int | Refused]]], limit: int):
        super().__init__(db, limit=limit)
        self._store = store

    async def run_group(self, work: Any, calls: Sequence[Call]) -> Sequence[int | Refused]:
        return await self._store(work, calls)

    def lane(self, call: Call) -> int:
        return call.room


class World:
    def __init__(self, loop: SimulatedLoop) -> None:
        self.random, self.faults, self.table = loop.random, Faults.drawn(loop.random), Table()
        db: Any = FakeDatabase(self.table, self.faults)
        self.batches = [StoringGroups(db, self._store, limit=self.random.choice([1, 3, 200])) for _ in range(2)]
        self.readers = CoalescingLoader(db, cast("Any", self._versions))
        self.begun_for_nobody: list[int] = []
        self.is_repaired = False
        self._ids = 0

    def call(self) -> Call:
        self._ids += 1
        return Call(self._ids, self.random.randrange(3), self.random.random() < 0.1)

    async def _store(self, work: Any, calls: Sequence[Call]) -> Sequence[int | Refused]:
        self.begun_for_nobody += [call.id for call in calls if not call.has_begun and call.gone_at < work.began_at]
        for call in calls:
            call.has_begun = True
        await self.faults.ask_database()
        self.faults.maybe_defect()
        if not work.skips_locked_rooms:
            await self._wait_for_locks({call.room for call in calls})
        results = [self._store_one(work, call) for call in calls]
        await self.faults.answer_from_database()
        return results

    async def _wait_for_locks(self, rooms: set[int]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2
        while rooms & self.table.locked:
            if loop.time() > deadline:
                raise Unavailable("A room is busy.")
            await asyncio.sleep(0.05)

    def _store_one(self, work: Any, call: Call) -> int | Refused:
        """An action knows a repeated call by its id, refuses what the rules forbid, and leaves out locked rooms."""
        if work.skips_locked_rooms and call.room in self.table.locked:
            return Unavailable("A room is busy.")
        if call.is_refused:
            return Conflict("the rules say no")
        if call.id not in work.table.rows:
            work.written[call.id] = call.room
        return call.id

    async def lock_rooms(self) -> None:
        """Another process holds a room for a while."""
        while self.faults.is_active:
            await asyncio.sleep(self.random.uniform(0, 2))
            self.table.locked = {self.random.randrange(3)} if self.random.random() < 0.5 else set()
        self.table.locked = set()

    async def _versions(self, table: Table, keys: Sequence[int]) -> Mapping[int, int]:
        found = {key: table.versions.get(key, 0) for key in keys}
        await self.faults.answer_from_database()
        return found

    # ------------------------------------------------------------------ what callers do and check

    async def store(self, call: Call) -> None:
        """One caller: it may repeat the same call through another process while it has no answer."""
        batch = self.random.choice(self.batches)
        try:
            answer = await batch.submit(call)
        except asyncio.CancelledError:
            call.gone_at = asyncio.get_running_loop().time()
            raise
        if answer != call.id:
            raise Violation(f"call {call.id} was given the answer of {answer}")
        if call.id not in self.table.rows:
            raise Violation(f"call {call.id} was acknowledged and is not stored")

    async def client(self) -> None:
        call = self.call()
        for _ in range(3):
            task = asyncio.create_task(self.store(call), name="caller")
            is_healthy = self.is_repaired
            patience = ANSWER_SECONDS if is_healthy else self.random.choice([0, 0.001, 0.01, 0.3, 60, 3000])
            await asyncio.wait([task], timeout=patience)
            if is_healthy and not task.done():
                raise Violation(f"call {call.id} hangs")
            task.cancel()
            with suppress(asyncio.CancelledError, *FAILURES):
                await task
                return
            call = Call(call.id, call.room, call.is_refused)

    async def reader(self) -> None:
        key = self.random.randrange(3)
        self.table.versions[key] = before = self.table.versions.get(key, 0) + 1
        try:
            async with asyncio.timeout(self.random.choice([0, 0.005, 60])):
                found = await self.readers(key)
        except (TimeoutError, OperationalError, DatabaseAway):
            return
        if found is None or found < before:
            raise Violation(f"key {key} was read at version {found}, after version {before} had been written")


async def scenario(loop: SimulatedLoop) -> None:
    world = World(loop)
    tasks = [asyncio.create_task(world.lock_rooms(), name="another process")]
    end = loop.time() + FAULTY_SECONDS
    while loop.time() < end:
        tasks += [asyncio.create_task(world.client(), name="client") for _ in range(world.random.choice([1, 2, 10]))]
        tasks.append(asyncio.create_task(world.reader(), name="reader"))
        await asyncio.sleep(world.random.choice([0, 0.01, 0.2, 1]))
    world.faults.stop()
    await asyncio.sleep(3600)  # what hangs has failed, for each call of the groups that had to run one by one
    world.is_repaired = True
    tasks += [asyncio.create_task(world.client(), name="client") for _ in range(5)]
    await asyncio.gather(*tasks)
    if world.begun_for_nobody:
        raise Violation(f"the calls {world.begun_for_nobody[:9]} were begun after their callers had gone")
    for batch in world.batches:
        await batch.close()
    await world.readers.close()
