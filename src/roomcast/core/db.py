"""One way in and out of the database: `read` and `Snapshot` for questions, `work` for changes.

The only commit of the product is here, and only committed events leave.

A task may be cancelled at any await. Between BEGIN and the last statement the connection is then closed, because nobody
knows what it is doing; the server undoes the transaction. COMMIT runs in a task of its own that nobody cancels, so that
its events leave whatever becomes of the caller.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, Generic, Self, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core import event_log
from roomcast.core.engines import driver_url, guard, postgres_engine, sqlite_engines
from roomcast.core.errors import OutcomeUnknown, Unavailable
from roomcast.core.events import Event
from roomcast.core.outages import is_answered, is_lock_failure, is_outage

__all__ = ["Database", "Publish", "Snapshot", "CoalescingLoader", "Work", "driver_url", "is_outage"]

E = TypeVar("E", bound=Event)
Arg = TypeVar("Arg")
Result = TypeVar("Result")

Publish = Callable[[Sequence[Event]], None]
EventListener = Callable[["Work", Sequence[Event]], Awaitable[None]]
"""What follows from events in the same transaction. It may record more of them."""

MAX_KEYS_PER_STATEMENT = 1_000
"""Rows asked for by key in one statement."""

ANSWER_SECONDS = 3.0
"""PostgreSQL's time for a COMMIT, and for what many wait for. SQLite, a file, cannot fall silent."""

logger = logging.getLogger("roomcast.db")


class Work:
    """A transaction and the facts it will make true."""

    def __init__(
        self, session: AsyncSession, listeners: Sequence[EventListener] = (), *, skips_locked_rooms: bool = False
    ) -> None:
        self.session, self._listeners = session, listeners
        self.skips_locked_rooms = skips_locked_rooms
        self.events: list[Event] = []
        self.after_commit: list[Callable[[], None]] = []

    async def record(self, event: E) -> E:
        """Write `event` at the next seq of its room; it leaves after the commit. Returns it numbered."""
        return (await self.record_all([event]))[0]

    async def record_all(self, events: Sequence[E]) -> list[E]:
        numbered = await event_log.append(self.session, events)
        self.events.extend(numbered)
        for listen in self._listeners:
            await listen(self, numbered)
        return numbered

    def signal(self, event: Event) -> None:
        """Let `event` leave after the commit without a place in the log: whoever does not listen never hears it."""
        self.events.append(event)

    async def delete_log(self, last_words: Event) -> None:
        """Remove a room's log for good. After the commit its listeners hear the last words, which no log keeps."""
        last_seq = await event_log.delete_log(self.session, last_words.room_id)
        self.events.append(replace(last_words, seq=last_seq + 1))


class Database:
    """Both kinds of engine behind one face. `publish` receives the events of each commit, in its order; `listeners`
    hear of each event before it."""

    def __init__(
        self, url: str, publish: Publish = lambda events: None, listeners: Sequence[EventListener] = ()
    ) -> None:
        self.publish, self._listeners = publish, listeners
        self.is_sqlite = url.startswith("sqlite")
        self.answer_seconds = None if self.is_sqlite else ANSWER_SECONDS
        self.refused_connections = 0
        """Connections that came back to the pool inside a transaction. A defect if it is not 0."""
        self._end_tasks: set[asyncio.Task[None]] = set()
        if self.is_sqlite:
            self._writer, self._reader = sqlite_engines(url)
        else:
            self._writer = self._reader = postgres_engine(url)
        for engine in {self._writer, self._reader}:
            guard(engine, self._on_refused_connection)

    async def close(self) -> None:
        while self._end_tasks:
            await asyncio.wait(self._end_tasks)
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """One snapshot: every question inside sees the same moment, and none can write."""
        session = AsyncSession(self._reader, expire_on_commit=False, autoflush=False)
        try:
            if not self.is_sqlite:
                await session.connection(
                    execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
                )
            yield session
        except BaseException as error:
            await self._roll_back(session, error)
            raise
        await asyncio.shield(self._run_to_end(session.close()))

    @asynccontextmanager
    async def work(self, *, skips_locked_rooms: bool = False) -> AsyncIterator[Work]:
        """Commit once, at the end, then let the events go. An error rolls everything back and nothing leaves.

        Raises Unavailable where another transaction held a lock for too long: nothing was changed. Raises
        OutcomeUnknown where the connection was lost during the commit, or no answer comes. `skips_locked_rooms`: what
        this work locks with `log.locking` is to leave out rooms that others hold.
        """
        session = AsyncSession(self._writer, expire_on_commit=False)
        work = Work(session, self._listeners, skips_locked_rooms=skips_locked_rooms)
        try:
            yield work
            await session.flush()  # here, because a caller that is gone can still stop it here
        except BaseException as error:
            await self._roll_back(session, error)
            if is_lock_failure(error):
                raise _lock_refusal(error) from error
            raise
        commit = self._run_to_end(self._commit(work))
        await asyncio.wait({commit}, timeout=self.answer_seconds)  # which leaves it alone when the caller is cancelled
        if not commit.done():
            raise OutcomeUnknown
        commit.result()

    async def _commit(self, work: Work) -> None:
        try:
            await work.session.commit()
        except BaseException as error:
            # SQLAlchemy sends no ROLLBACK after a COMMIT that failed, and SQLite's transaction is still open then.
            await work.session.invalidate()
            if is_lock_failure(error):
                raise _lock_refusal(error) from error
            if isinstance(error, Exception) and not is_answered(error):
                raise OutcomeUnknown from error
            raise
        try:
            self.publish(work.events)
            for step in work.after_commit:
                step()
        finally:
            await work.session.close()

    async def _roll_back(self, session: AsyncSession, error: BaseException) -> None:
        """Undo the transaction. Who was cancelled, or got no answer, does not wait for that."""
        ending = self._run_to_end(self._roll_back_or_close(session, error))
        if _leaves_connection_usable(error):
            await asyncio.wait({ending})

    async def _roll_back_or_close(self, session: AsyncSession, error: BaseException) -> None:
        """Undo the transaction. The connection is closed where its state is not known."""
        try:
            # SQLite's rollback waits in the connection's thread behind what was cancelled.
            await (session.close() if self.is_sqlite or _leaves_connection_usable(error) else session.invalidate())
        except Exception as failure:
            logger.warning("a transaction could not be rolled back: %s", type(failure).__name__)
            await session.invalidate()

    def _run_to_end(self, step: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """The end of a transaction, in a task that goes on when the caller is cancelled."""
        task = asyncio.create_task(step, name="transaction end")
        self._end_tasks.add(task)
        task.add_done_callback(self._on_end)
        return task

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        self._end_tasks.discard(task)
        if not task.cancelled():
            task.exception()  # raised to the caller, who may be gone

    def _on_refused_connection(self) -> None:
        self.refused_connections += 1


def _leaves_connection_usable(error: BaseException) -> bool:
    return isinstance(error, Exception) and (is_lock_failure(error) or not is_outage(error))


def _lock_refusal(error: BaseException) -> Unavailable:
    logger.warning("a change was stopped by another transaction's lock: %s", type(error).__name__)
    return Unavailable("Another change holds a lock that this one needs.")


class Snapshot:
    """The reads of one operation: a single transaction, opened at the first question, so that one answer shows one
    moment. `renew` forgets it, so that what follows a change sees it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = asyncio.Lock()
        self._open: AbstractAsyncContextManager[AsyncSession] | None = None
        self._session: AsyncSession | None = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """The operation's session, for one block at a time: a connection answers one question after another.

        Where the block is cancelled or the database fails, the snapshot is given up: nothing more can be asked of it.
        """
        async with self._lock:
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
        async with self._lock:
            await self._close()

    async def _close(self, error: BaseException | None = None) -> None:
        opened, self._open, self._session = self._open, None, None
        if opened is not None:
            await opened.__aexit__(type(error) if error is not None else None, error, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()


class CoalescingLoader(Generic[Arg, Result]):
    """Questions by key: those that come while others are being asked are the next ones, all in one read.

    When a thousand people come back at once, it is a handful of reads instead of a thousand.
    """

    def __init__(
        self, db: Database, ask: Callable[[AsyncSession, Sequence[Arg]], Awaitable[Mapping[Arg, Result]]]
    ) -> None:
        self._db, self._ask = db, ask
        self._waiting: dict[Arg, asyncio.Future[Result | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, key: Arg) -> Result | None:
        """What is there under this key, read after the call. Raises what the read raised."""
        if key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().create_future()
        answer = self._waiting[key]
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="together")
        return await asyncio.shield(answer)

    async def close(self) -> None:
        if self._task is not None:
            await self._task

    async def _drain(self) -> None:
        asked: dict[Arg, asyncio.Future[Result | None]] = {}
        try:
            while self._waiting:
                asked = dict(islice(self._waiting.items(), MAX_KEYS_PER_STATEMENT))
                self._waiting = {key: answer for key, answer in self._waiting.items() if key not in asked}
                await self._answer(asked)
        finally:
            self._task = None
            for answer in (*asked.values(), *self._waiting.values()):  # some are left only if this task is cancelled
                answer.cancel()
            self._waiting = {}

    async def _answer(self, asked: Mapping[Arg, "asyncio.Future[Result | None]"]) -> None:
        try:
            found = await self._found(list(asked))
        except Exception as error:  # each asker is told
            for answer in asked.values():
                answer.set_exception(error)
                answer.exception()  # an asker may be gone by now
        else:
            for key, answer in asked.items():
                answer.set_result(found.get(key))

    async def _found(self, keys: Sequence[Arg]) -> Mapping[Arg, Result]:
        """Asked a second time, over another connection, where the first does not answer: everybody waits for this."""
        try:
            return await self._read(keys)
        except Exception as error:
            if not is_outage(error):
                raise
        return await self._read(keys)

    async def _read(self, keys: Sequence[Arg]) -> Mapping[Arg, Result]:
        async with asyncio.timeout(self._db.answer_seconds), self._db.read() as session:
            return await self._ask(session, keys)
