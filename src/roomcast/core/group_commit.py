"""Group commit: calls that arrive while one transaction commits share the next transaction."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from sqlalchemy.exc import DBAPIError

from roomcast import tracing
from roomcast.core.db import Database, Work
from roomcast.core.errors import OutcomeUnknown, Refused, Unavailable
from roomcast.core.outages import is_outage

Arg = TypeVar("Arg")
Result = TypeVar("Result")

LOOP_PASSES = 4
"""Passes of the event loop between the bytes of a request on a socket and the call that the request makes."""

LANES = 4
"""How many single lanes may have a transaction at once. Each can hold a connection until its lock times out."""

LANE_WAIT_SECONDS = 3.0
"""How long a single lane waits for one of these transactions."""

LANE_SECONDS = 1.0
"""How long the calls of a lane stay out of the common group after their lock was found taken, because each attempt
there costs the call a transaction."""


@dataclass(slots=True, eq=False)
class _Call(Generic[Arg, Result]):
    argument: Arg
    future: "asyncio.Future[Result]"
    lane: Hashable
    trace: str | None
    """The context of the caller's span, if it is recorded."""
    is_uncertain: bool = False
    """A commit of this call was not confirmed. The call may have been stored, until a later attempt finds out."""

    def settle(self, result: Result | Exception) -> None:
        if self.future.done():  # the caller was cancelled
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        """Raise the error to the caller; OutcomeUnknown instead if an earlier attempt may have been stored."""
        self.settle(OutcomeUnknown() if self.is_uncertain else error)


@dataclass(slots=True, eq=False)
class _Lane(Generic[Arg, Result]):
    calls: list[_Call[Arg, Result]] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None


class GroupCommit(ABC, Generic[Arg, Result]):
    """Runs calls in groups, one transaction for each group. A subclass says in `run_group` what a group does.

    The tasks that run groups have an empty context: they serve many callers, and would keep the trace of the first one.

    There is no timer. An idle server commits a call at once. A busy one groups the calls that wait with those that
    arrive in the next passes of the event loop, because clients often send their next call right after an answer.

    With `uses_lanes`, `lane` names the lock that a call needs, e.g. its room. One common group of all lanes runs at a
    time, and its transaction skips rows that others have locked; `run_group` returns Unavailable for those calls. They
    then wait for their locks in a second group, because other processes hold a lock for milliseconds. If that wait
    times out, each lane waits in its own transaction, so that one lock no longer delays the other lanes. Without lanes,
    and on SQLite, no lock is skipped.

    A group runs a second time if its connection is lost or the database does not answer in time, so `run_group` must
    recognise what the first run may have stored. After any other failure each call of the group runs alone, so that a
    bad call fails no other.
    """

    uses_lanes: ClassVar[bool] = False

    def __init__(self, db: Database, *, limit: int = 200) -> None:
        self._db, self._limit = db, limit
        self._has_lanes = self.uses_lanes and not db.is_sqlite
        self.groups = self.calls = self.deferred = self.fallbacks = self.retries = 0
        """Transactions, calls, calls that had to wait for a lock, groups whose calls ran alone, groups that
        ran twice."""
        self._waiting: list[_Call[Arg, Result]] = []
        self._task: asyncio.Task[None] | None = None
        self._contended: _Lane[Arg, Result] = _Lane()
        """The second group: calls whose lock another process holds."""
        self._lanes: dict[Hashable, tuple[_Lane[Arg, Result], float]] = {}
        """For each lane that stays out of the common group: the queue of its calls, and until which loop time."""
        self._slots = asyncio.Semaphore(LANES)

    @abstractmethod
    async def run_group(self, work: Work, calls: Sequence[Arg]) -> Sequence[Result | Refused]:
        """Run these calls in one transaction. Returns a result or a Refused for each, in the same order."""

    def lane(self, call: Arg) -> Hashable:
        """The lock that the call needs, e.g. the id of its room. Used only with `uses_lanes`."""
        return None

    async def submit(self, argument: Arg) -> Result:
        """Run one call in the next group and return its result. Raises the Refused of this call, Unavailable or
        OutcomeUnknown.

        A caller that is cancelled before the group starts withdraws the call. Later it has no effect on the group.
        """
        key = self.lane(argument) if self._has_lanes else None
        with tracing.span("group commit"):
            return await self._submit(argument, key)

    async def _submit(self, argument: Arg, key: Hashable) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        call = _Call(argument, future, key, tracing.current())
        self.calls += 1
        if (lane := self._current_lane(key)) is not None:
            self._enqueue(lane, call)
        else:
            self._waiting.append(call)
            if self._task is None:
                self._task = asyncio.create_task(self._drain(), name="group commit", context=Context())
        return await call.future

    @property
    def waiting(self) -> int:
        """Calls whose group has not started."""
        return len(self._waiting) + sum(len(lane.calls) for lane in self._all_lanes())

    async def close(self) -> None:
        """Wait until all submitted calls are settled."""
        while tasks := [t for t in (self._task, *(lane.task for lane in self._all_lanes())) if t is not None]:
            await asyncio.wait(tasks)

    # ------------------------------------------------------------------ the common group

    async def _drain(self) -> None:
        is_busy, calls = False, list[_Call[Arg, Result]]()
        try:
            while self._waiting:
                if is_busy:
                    await self._collect_more(self._waiting)
                calls = self._pop_group(self._waiting)
                await self._run_group(calls, skip_locked=self._has_lanes)
                is_busy, calls = len(calls) > 1, []
        except BaseException:
            _cancel(calls, self._waiting)
            raise
        finally:
            self._task = None

    async def _collect_more(self, calls: Sequence[_Call[Arg, Result]]) -> None:
        """Return when a few passes of the event loop have brought no further call."""
        known = 0
        while known < len(calls) < self._limit:
            known = len(calls)
            for _ in range(LOOP_PASSES):
                await asyncio.sleep(0)

    def _pop_group(self, calls: list[_Call[Arg, Result]]) -> list[_Call[Arg, Result]]:
        """Remove the next group from `calls` and return it, without the calls whose caller was cancelled."""
        taken, calls[:] = calls[: self._limit], calls[self._limit :]
        return [call for call in taken if not call.future.done()]

    async def _run_group(self, calls: Sequence[_Call[Arg, Result]], *, skip_locked: bool) -> None:
        error = await self._attempt_twice(calls, skip_locked=skip_locked)
        if error is None:
            return
        if self._has_lanes and not _is_lost(error):
            self._separate(calls)
        else:
            await self._run_one_by_one(calls, error)

    # ------------------------------------------------------------------ lanes

    def _all_lanes(self) -> "set[_Lane[Arg, Result]]":
        return {self._contended, *(lane for lane, _ in self._lanes.values())}

    def _current_lane(self, key: Hashable) -> _Lane[Arg, Result] | None:
        lane, until = self._lanes.get(key, (None, 0.0))
        return lane if lane is not None and (lane.task is not None or _time() < until) else None

    def _direct_to(self, key: Hashable, lane: _Lane[Arg, Result]) -> None:
        """Queue the calls of this key in `lane` for the next LANE_SECONDS."""
        now = _time()
        self._lanes = {key: entry for key, entry in self._lanes.items() if entry[0].task or now < entry[1]}
        self._lanes[key] = lane, now + LANE_SECONDS

    def _separate(self, calls: Sequence[_Call[Arg, Result]]) -> None:
        """Give each lane of a failed group its own queue, together with the calls that wait behind them."""
        self.fallbacks += 1
        keys = {call.lane for call in calls}
        behind = [call for call in self._contended.calls if call.lane in keys]
        self._contended.calls[:] = [call for call in self._contended.calls if call.lane not in keys]
        for key in keys:
            self._direct_to(key, _Lane())
        for call in (*calls, *behind):
            self._enqueue(self._lanes[call.lane][0], call)

    def _enqueue(self, lane: _Lane[Arg, Result], call: _Call[Arg, Result]) -> None:
        lane.calls.append(call)
        if lane.task is None:
            lane.task = asyncio.create_task(self._drain_lane(lane), name="group commit lane", context=Context())

    async def _drain_lane(self, lane: _Lane[Arg, Result]) -> None:
        calls: list[_Call[Arg, Result]] = []
        try:
            while lane.calls:
                if lane is self._contended:
                    await self._collect_more(lane.calls)
                    calls = self._pop_group(lane.calls)
                    await self._run_group(calls, skip_locked=False)
                elif await self._has_slot():
                    try:
                        calls = self._pop_group(lane.calls)
                        await self._run_lane(lane, calls)
                    finally:
                        self._slots.release()
                else:
                    for call in self._pop_group(lane.calls):
                        call.fail(Unavailable("Too many rooms are locked by other changes."))
                calls = []
        except BaseException:
            _cancel(calls, lane.calls)
            raise
        finally:
            lane.task = None

    async def _has_slot(self) -> bool:
        """Wait for one of the LANES transactions. Whether it was acquired; the caller then releases it."""
        try:
            async with asyncio.timeout(LANE_WAIT_SECONDS):
                return await self._slots.acquire()
        except TimeoutError:
            return False

    async def _run_lane(self, lane: _Lane[Arg, Result], calls: Sequence[_Call[Arg, Result]]) -> None:
        error = await self._attempt_twice(calls, skip_locked=False)
        if error is not None:
            self._direct_to(calls[0].lane, lane)
            await self._run_one_by_one(calls, error)

    # ------------------------------------------------------------------ transactions

    async def _attempt_twice(self, calls: Sequence[_Call[Arg, Result]], *, skip_locked: bool) -> Exception | None:
        """As `_attempt`, with a second attempt after an outage. With `skip_locked`, calls that need a taken lock are
        deferred."""
        if not calls:
            return None
        self.groups += 1
        error = await self._attempt(calls, skip_locked=skip_locked, defers=skip_locked)
        if error is not None and _is_lost(error):
            self.retries += 1
            error = await self._attempt(calls, skip_locked=skip_locked, defers=skip_locked)
        return error

    async def _attempt(
        self, calls: Sequence[_Call[Arg, Result]], *, skip_locked: bool, defers: bool = False
    ) -> Exception | None:
        """Run the calls in one transaction and settle them. Returns the error if none of them was settled."""
        try:
            traces = [call.trace for call in calls if call.trace is not None]
            async with self._db.work(skips_locked_rooms=skip_locked, traces=traces, through_driver=True) as work:
                async with asyncio.timeout(self._db.answer_seconds):
                    await work.begin()
                    results = await self.run_group(work, [call.argument for call in calls])
        except Exception as error:  # the caller of this method handles it or fails each call with it
            for call in calls:
                call.is_uncertain |= isinstance(error, OutcomeUnknown)
            return error
        for call, result in zip(calls, results, strict=True):
            if not isinstance(result, Unavailable):
                call.settle(result)
            elif defers:
                # Move a call out of the common group to wait for its lock.
                self.deferred += 1
                lane = self._current_lane(call.lane) or self._contended
                self._direct_to(call.lane, lane)
                self._enqueue(lane, call)
            else:
                call.fail(result)
        return None

    async def _run_one_by_one(self, calls: Sequence[_Call[Arg, Result]], error: Exception) -> None:
        """Run each call alone, so that only a bad one fails. A call that lost a race for a unique key now sees the
        winner."""
        is_locked = isinstance(error, Unavailable)
        is_final = len(calls) == 1 and not isinstance(error, DBAPIError)
        if is_final or _is_lost(error) or (is_locked and not self._has_lanes):
            for call in calls:
                call.fail(error)
            return
        self.fallbacks += len(calls) > 1
        for call in calls:  # the group has waited for the lock once: skip it if it is still held, do not wait again
            failure = await self._attempt([call], skip_locked=is_locked)
            if isinstance(failure, DBAPIError) and len(calls) > 1:
                failure = await self._attempt([call], skip_locked=is_locked)
            if failure is not None:
                call.fail(failure)


def _is_lost(error: Exception) -> bool:
    """Whether the connection was lost or the database did not answer in time."""
    return isinstance(error, OutcomeUnknown) or is_outage(error)


def _time() -> float:
    return asyncio.get_running_loop().time()


def _cancel(*queues: "list[_Call[Arg, Result]]") -> None:
    """Cancel calls that will not run, so that their callers stop waiting. Happens only if the serving task is
    cancelled."""
    for calls in queues:
        for call in calls:
            call.future.cancel()
        calls.clear()
