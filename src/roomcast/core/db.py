"""Access to the database: `Database.read` and `Snapshot` for reads, `Database.work` for changes.

This module contains the only commit of the product. Events are published after the commit that stored them.

A task can be cancelled at any await. If that happens between BEGIN and the last statement, the connection is closed,
because the state of its transaction is unknown; the server then rolls back. COMMIT runs in a separate task that is
never cancelled, so that its events are published even if the caller is gone.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any, Generic, Self, TypeVar, cast
from weakref import WeakSet

from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast import tracing
from roomcast.core import event_log
from roomcast.core.driver_sessions import DriverSession, ReadSession
from roomcast.core.engines import DEFAULT_POOL_SIZE, WatchedPool, driver_url, guard, postgres_engine, sqlite_engines
from roomcast.core.errors import OutcomeUnknown, Unavailable
from roomcast.core.events import Event
from roomcast.core.metrics import COMMIT_SECONDS, DATABASE
from roomcast.core.outages import OutageLog, is_answered, is_lock_failure, is_moved, is_outage, reason
from roomcast.core.sqlite import wait_for_threads

__all__ = ["Database", "Publish", "Snapshot", "CoalescingLoader", "Work", "driver_url", "is_outage"]

E = TypeVar("E", bound=Event)
Arg = TypeVar("Arg")
Result = TypeVar("Result")

Publish = Callable[[Sequence[Event]], None]
EventListener = Callable[["Work", Sequence[Event]], Awaitable[None]]
"""Called with the events of a transaction before its commit. It may record more events in the same transaction."""

MAX_KEYS_PER_STATEMENT = 1_000
"""Keys that `CoalescingLoader` reads in one statement."""

ANSWER_SECONDS = 3.0
"""How long PostgreSQL may take for a COMMIT, a group of sends or a shared read. SQLite has no such limit: it is a local
file, and its driver always answers."""

logger = logging.getLogger("roomcast.db")


class Work:
    """A transaction and the events that are published after its commit."""

    def __init__(
        self, session: AsyncSession, listeners: Sequence[EventListener] = (), *, skips_locked_rooms: bool = False
    ) -> None:
        self.session, self._listeners = session, listeners
        self.skips_locked_rooms = skips_locked_rooms
        self.events: list[Event] = []
        self.after_commit: list[Callable[[], None]] = []

    async def begin(self) -> None:
        """Begin a transaction `through_driver`. Any other is begun by its first statement."""
        if isinstance(self.session, DriverSession):
            await self.session.open()

    async def record(self, event: E) -> E:
        """Store `event` at the next seq of its room and publish it after the commit. Returns it with its seq."""
        return (await self.record_all([event]))[0]

    async def record_all(self, events: Sequence[E]) -> list[E]:
        """As `record`, for several events in one statement."""
        numbered = await event_log.append(self.session, events)
        self.events.extend(numbered)
        for listen in self._listeners:
            await listen(self, numbered)
        return numbered

    def signal(self, event: Event) -> None:
        """Publish `event` after the commit without storing it. Clients that are not connected then never get it."""
        self.events.append(event)

    async def delete_log(self, final_event: Event) -> None:
        """Delete a room's log. `final_event` is published to the room's listeners after the commit and is not
        stored."""
        last_seq = await event_log.delete_log(self.session, final_event.room_id)
        self.events.append(replace(final_event, seq=last_seq + 1))


class Database:
    """A SQLite or PostgreSQL database. `publish` receives the events of each commit, in the order they were recorded.
    `listeners` are called with recorded events before the commit. `pool_size`: connections to PostgreSQL at most."""

    def __init__(
        self,
        url: str,
        publish: Publish = lambda events: None,
        listeners: Sequence[EventListener] = (),
        pool_size: int = DEFAULT_POOL_SIZE,
    ) -> None:
        self.publish, self._listeners = publish, listeners
        self.is_sqlite = url.startswith("sqlite")
        self.path = Path(driver_url(url).database or "") if self.is_sqlite else None
        """The file of an SQLite database."""
        self.answer_seconds = None if self.is_sqlite else ANSWER_SECONDS
        self.refused_connections = 0
        """Connections that came back to the pool inside a transaction. Any number but 0 is a defect."""
        self.outages = OutageLog()
        self._end_tasks: set[asyncio.Task[None]] = set()
        self._threads: WeakSet[Thread] = WeakSet()
        if self.is_sqlite:
            self._writer, self._reader = sqlite_engines(url, self._threads)
        else:
            self._writer = self._reader = postgres_engine(url, pool_size)
        for engine in {self._writer, self._reader}:
            guard(engine, self._on_refused_connection)

    @property
    def pools(self) -> dict[str, WatchedPool]:
        """The connection pools by what they are for. On PostgreSQL one pool serves both."""
        engines = {"write": self._writer, "read": self._reader} if self.is_sqlite else {"all": self._writer}
        return {name: cast("WatchedPool", engine.pool) for name, engine in engines.items()}

    async def close(self) -> None:
        """Wait for the transactions that are ending, then close all connections."""
        while self._end_tasks:
            await asyncio.wait(self._end_tasks)
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()
        await wait_for_threads(self._threads)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A read-only session on one snapshot: all reads inside see the same state."""
        session = ReadSession(self._reader)
        DATABASE.reads += 1
        try:
            await session.open()
            yield session
        except BaseException as error:
            self.outages.on_error(error)
            await self._roll_back(session, error)
            raise
        self.outages.on_success()
        if session.end_at_once():
            return
        # `wait` does not cancel this task when the caller is cancelled. A frozen server does not delay what was read.
        await asyncio.wait({self._run_to_end(self._close_or_invalidate(session))}, timeout=self.answer_seconds)

    @asynccontextmanager
    async def work(
        self, *, skips_locked_rooms: bool = False, traces: Sequence[str] = (), through_driver: bool = False
    ) -> AsyncIterator[Work]:
        """A transaction that commits when the block ends and then publishes its events. An error in the block rolls
        back, and no event is published.

        Raises Unavailable if another transaction held a lock for too long; nothing was changed then. Raises
        OutcomeUnknown if the connection was lost during the commit, or if the database did not confirm it in time.
        `skips_locked_rooms`: queries that lock room heads leave out rooms that other transactions have locked.
        `traces`: contexts of the spans that it works for, if they are not the one around the caller.
        `through_driver`: for hot paths, see `core.driver_sessions`. The block then calls `Work.begin` first.
        """
        parent, *others = traces or (None,)
        with tracing.span("transaction", parent=parent, links=filter(None, others)):
            session = (
                DriverSession(self._writer) if through_driver else AsyncSession(self._writer, expire_on_commit=False)
            )
            DATABASE.changes += 1
            work = Work(session, self._listeners, skips_locked_rooms=skips_locked_rooms)
            try:
                yield work
                await session.flush()  # before the commit task, so that cancelling the caller still stops it
            except BaseException as error:
                self.outages.on_error(error)
                await self._roll_back(session, error)
                if is_lock_failure(error):
                    raise _lock_refusal(error) from error
                raise
            commit = self._run_to_end(self._commit(work))
            # `wait` does not cancel the commit when the caller is cancelled or the time is over: its events must be
            # published.
            await asyncio.wait({commit}, timeout=self.answer_seconds)
            if not commit.done():
                self.outages.on_error(TimeoutError("a commit was not confirmed"))
                raise OutcomeUnknown
            commit.result()

    async def _commit(self, work: Work) -> None:
        began = perf_counter()
        try:
            await work.session.commit()
        except BaseException as error:
            self.outages.on_error(error)
            # SQLAlchemy sends no ROLLBACK after a failed COMMIT, and SQLite's transaction is still open then.
            await work.session.invalidate()
            if is_lock_failure(error):
                raise _lock_refusal(error) from error
            if isinstance(error, Exception) and not is_answered(error):
                raise OutcomeUnknown from error
            raise
        COMMIT_SECONDS.observe(perf_counter() - began)
        self.outages.on_success()
        try:
            self.publish(work.events)
            for step in work.after_commit:
                step()
        finally:
            await work.session.close()

    async def _roll_back(self, session: AsyncSession, error: BaseException) -> None:
        """Roll back. A caller that was cancelled, or whose database does not answer, does not wait for the rollback."""
        ending = self._run_to_end(self._roll_back_or_close(session, error))
        if _leaves_connection_usable(error):
            await asyncio.wait({ending})

    async def _roll_back_or_close(self, session: AsyncSession, error: BaseException) -> None:
        """Roll back, or close the connection if its state is unknown; the server then rolls back."""
        # On SQLite a rollback is always safe: it is queued in the connection's thread behind the cancelled step.
        if self.is_sqlite or _leaves_connection_usable(error):
            await self._close_or_invalidate(session)
        else:
            await session.invalidate()

    async def _close_or_invalidate(self, session: AsyncSession) -> None:
        """Roll back what is open. Raises nothing if the connection fails now: what was read before remains valid."""
        try:
            await session.close()
        except Exception as failure:
            logger.warning("a transaction could not be rolled back: %s", type(failure).__name__)
            await session.invalidate()

    def _run_to_end(self, step: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run the end of a transaction in a task that continues when the caller is cancelled."""
        task = asyncio.create_task(step, name="transaction end")
        self._end_tasks.add(task)
        task.add_done_callback(self._on_end)
        return task

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        self._end_tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved: the caller that would raise it may be gone

    def _on_refused_connection(self) -> None:
        self.refused_connections += 1


def _leaves_connection_usable(error: BaseException) -> bool:
    """Whether a rollback can be sent: not after a cancellation or an outage, when a statement may still be running."""
    return isinstance(error, Exception) and (is_lock_failure(error) or not is_outage(error))


def _lock_refusal(error: BaseException) -> Unavailable:
    if is_moved(error):
        logger.error("a change failed: %s", reason(error))
        return Unavailable("This server is being replaced by another one.")
    logger.warning("a change failed because another transaction held a lock: %s", type(error).__name__)
    return Unavailable("Another change holds a lock that this change needs.")


class Snapshot:
    """The reads of one GraphQL operation: one transaction, opened by the first read, so that a response shows one
    state. `release` ends it, so that reads after a change see the change."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = asyncio.Lock()
        self._open: AbstractAsyncContextManager[AsyncSession] | None = None
        self._session: AsyncSession | None = None
        self._has_ended = False

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """The session of the operation, for one block at a time, because a connection runs one statement at a time.

        If the block is cancelled or the database fails, the transaction is closed, and the next block opens a new one.
        Raises RuntimeError after `end`.
        """
        async with self._lock:
            if self._has_ended:
                raise RuntimeError("the operation has ended")
            if self._session is None:
                opening = self._db.read()
                self._session, self._open = await opening.__aenter__(), opening
            try:
                yield self._session
            except BaseException as error:
                if not isinstance(error, Exception) or isinstance(error, DBAPIError) or is_outage(error):
                    await self._close(error)
                raise

    async def release(self) -> None:
        """End the transaction. The next read opens a new one."""
        async with self._lock:
            await self._close()

    async def end(self) -> None:
        """End the transaction for good: a batch of a loader may still want to read when the operation has failed."""
        self._has_ended = True
        await self.release()

    async def _close(self, error: BaseException | None = None) -> None:
        opened, self._open, self._session = self._open, None, None
        if opened is not None:
            await opened.__aexit__(type(error) if error is not None else None, error, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()


class CoalescingLoader(Generic[Arg, Result]):
    """Loads values by key. Keys that are requested while a read is running are loaded together by the next read.

    When a thousand clients reconnect at once, this makes a handful of reads instead of a thousand.
    """

    def __init__(
        self, db: Database, load: Callable[[AsyncSession, Sequence[Arg]], Awaitable[Mapping[Arg, Result]]]
    ) -> None:
        self._db, self._load = db, load
        self._waiting: dict[Arg, asyncio.Future[Result | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, key: Arg) -> Result | None:
        """The value of this key, None if there is none. The read starts after the call. Raises what the read raises."""
        if key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().create_future()
        future = self._waiting[key]
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="coalescing loader")
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Wait for the keys that are being loaded."""
        if self._task is not None:
            await self._task

    async def _drain(self) -> None:
        loading: dict[Arg, asyncio.Future[Result | None]] = {}
        try:
            while self._waiting:
                loading = dict(islice(self._waiting.items(), MAX_KEYS_PER_STATEMENT))
                self._waiting = {key: future for key, future in self._waiting.items() if key not in loading}
                await self._settle(loading)
        finally:
            self._task = None
            # Futures are left only if this task is cancelled. Without this, their callers would wait for ever.
            for future in (*loading.values(), *self._waiting.values()):
                future.cancel()
            self._waiting = {}

    async def _settle(self, futures: Mapping[Arg, "asyncio.Future[Result | None]"]) -> None:
        try:
            found = await self._read_with_retry(list(futures))
        except Exception as error:  # raised to each caller
            for future in futures.values():
                future.set_exception(error)
                future.exception()  # marks it as retrieved: a caller may be gone by now
        else:
            for key, future in futures.items():
                future.set_result(found.get(key))

    async def _read_with_retry(self, keys: Sequence[Arg]) -> Mapping[Arg, Result]:
        """Read over a second connection if the first does not answer, because many callers wait for this read."""
        try:
            return await self._read(keys)
        except Exception as error:
            if not is_outage(error):
                raise
            self._db.outages.on_error(error)
        return await self._read(keys)

    async def _read(self, keys: Sequence[Arg]) -> Mapping[Arg, Result]:
        async with asyncio.timeout(self._db.answer_seconds), self._db.read() as session:
            return await self._load(session, keys)
