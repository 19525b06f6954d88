"""One way in and out of the database: `read` and `Snapshot` for questions, `work` and `Batch` for changes.

The only commit of the product is here, and only committed events leave. SQLite gets one writer connection that
begins IMMEDIATE and readers that cannot write: SQLAlchemy's default mode silently lost updates there (4,928
commits, counter at 385).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, Generic, Self, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core import log, sqlite
from roomcast.core.errors import Refused
from roomcast.core.events import Event

E = TypeVar("E", bound=Event)
Arg = TypeVar("Arg")
Result = TypeVar("Result")

Publish = Callable[[Sequence[Event]], None]
Listen = Callable[["Work", Sequence[Event]], Awaitable[None]]
"""What follows from events in the same transaction. It may record more of them."""

MANY_KEYS = 1_000
"""Rows asked for by key in one statement."""

PASSES = 4
"""Of the loop, from bytes on a socket to the call that they mean."""

WAIT_SECONDS = 30
"""No statement waits longer for a connection or a lock."""


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be asked, so that the same question may be answered later."""
    if isinstance(error, DBAPIError):
        return not isinstance(error, DataError | IntegrityError | NotSupportedError | ProgrammingError)
    # What asyncpg raises while it connects reaches us as it is; importing it for its name would load it on SQLite too.
    return isinstance(error, OSError | PoolTimeout) or type(error).__module__.startswith("asyncpg.")


class Work:
    """A transaction and the facts it will make true."""

    def __init__(self, session: AsyncSession, listeners: Sequence[Listen] = ()) -> None:
        self.session = session
        self._listeners = listeners
        self.events: list[Event] = []
        self.afterwards: list[Callable[[], None]] = []

    async def record(self, event: E) -> E:
        """Write `event` at the next seq of its room; it leaves after the commit. Returns it numbered."""
        return (await self.record_all([event]))[0]

    async def record_all(self, events: Sequence[E]) -> list[E]:
        numbered = await log.append(self.session, events)
        self.events.extend(numbered)
        for listen in self._listeners:
            await listen(self, numbered)
        return numbered

    def signal(self, event: Event) -> None:
        """Let `event` leave after the commit without a place in the log: whoever does not listen never hears it."""
        self.events.append(event)

    async def end_log(self, last_words: Event) -> None:
        """Remove a room's log for good. After the commit its listeners hear the last words, which no log keeps."""
        last_seq = await log.remove(self.session, last_words.room_id)
        self.events.append(replace(last_words, seq=last_seq + 1))


class Database:
    """Both kinds of engine behind one face. `publish` receives the events of each commit, in its order; `listeners`
    hear of each event before it."""

    def __init__(self, url: str, publish: Publish = lambda events: None, listeners: Sequence[Listen] = ()) -> None:
        self.publish, self._listeners = publish, listeners
        self.is_sqlite = url.startswith("sqlite")
        self._writer, self._reader = _sqlite_engines(url) if self.is_sqlite else _postgres_engines(url)

    async def close(self) -> None:
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """One snapshot: every question inside sees the same moment, and none can write."""
        async with AsyncSession(self._reader, expire_on_commit=False, autoflush=False) as session:
            if not self.is_sqlite:
                await session.connection(
                    execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
                )
            yield session

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """Commit once, at the end, then let the events go. An error rolls everything back and nothing leaves."""
        async with AsyncSession(self._writer, expire_on_commit=False) as session:
            work = Work(session, self._listeners)
            async with session.begin():
                yield work
        self.publish(work.events)
        for step in work.afterwards:
            step()


class Snapshot:
    """The reads of one operation: a single transaction, opened at the first question, so that one answer shows one
    moment. `renew` forgets it, so that what follows a change sees it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = asyncio.Lock()
        self._open: Any = None
        self._session: AsyncSession | None = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """The operation's session, for one block at a time: a connection answers one question after another."""
        async with self._lock:
            if self._session is None:
                self._open = self._db.read()
                self._session = await self._open.__aenter__()
            yield self._session

    async def renew(self) -> None:
        async with self._lock:
            if self._session is not None:
                opened, self._open, self._session = self._open, None, None
                await opened.__aexit__(None, None, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.renew()


class Together(Generic[Arg, Result]):
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
        try:
            while self._waiting:
                asked = dict(islice(self._waiting.items(), MANY_KEYS))
                self._waiting = {key: answer for key, answer in self._waiting.items() if key not in asked}
                await self._answer(asked)
        finally:
            self._task = None

    async def _answer(self, asked: Mapping[Arg, "asyncio.Future[Result | None]"]) -> None:
        try:
            async with self._db.read() as session:
                found = await self._ask(session, list(asked))
        except Exception as error:  # each asker is told
            for answer in asked.values():
                answer.set_exception(error)
                answer.exception()  # an asker may be gone by now
        else:
            for key, answer in asked.items():
                answer.set_result(found.get(key))


class Batch(Generic[Arg, Result]):
    """Calls that arrive while one group commits are the next group: one transaction for all, a result for each.

    `run` gets a work and the group's arguments and answers, in their order, with a result or the Refused of each.
    Needs no timer: an idle server commits at once, a busy one groups what waits and what the next passes of the loop
    bring, because those whom the last group has answered are about to call again. If a group fails as a whole, each
    of its calls runs alone, so that one bad member never takes the others with it.
    """

    def __init__(
        self,
        db: Database,
        run: Callable[[Work, Sequence[Arg]], Awaitable[Sequence[Result | Refused]]],
        limit: int = 200,
    ) -> None:
        self._db, self._run, self._limit = db, run, limit
        self.groups = self.calls = 0
        self._waiting: list[tuple[Arg, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, argument: Arg) -> Result:
        """Raises the Refused of this call. A caller that goes away does not undo what its group commits."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((argument, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="batch")
        return await future

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._task is not None:
            await self._task

    async def _drain(self) -> None:
        busy = False
        try:
            while self._waiting:
                if busy:
                    await self._fill()
                group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                self.groups, self.calls = self.groups + 1, self.calls + len(group)
                await self._commit(group)
                busy = len(group) > 1
        finally:
            self._task = None

    async def _fill(self) -> None:
        """Return when a few passes of the loop have brought nobody else."""
        known = 0
        while known < len(self._waiting) < self._limit:
            known = len(self._waiting)
            for _ in range(PASSES):
                await asyncio.sleep(0)

    async def _commit(self, group: Sequence[tuple[Arg, asyncio.Future[Result]]]) -> None:
        try:
            async with self._db.work() as work:
                results = await self._run(work, [argument for argument, _ in group])
        except Exception as error:  # each caller is told; nothing is swallowed
            await self._one_by_one(group, error)
            return
        for (_, future), result in zip(group, results, strict=True):
            _settle(future, result)

    async def _one_by_one(self, group: Sequence[tuple[Arg, asyncio.Future[Result]]], error: Exception) -> None:
        if len(group) > 1:
            for member in group:
                await self._commit([member])
            return
        [(argument, future)] = group
        if isinstance(error, DBAPIError):  # lost a race for a unique key: the second look sees the winner
            try:
                async with self._db.work() as work:
                    [result] = await self._run(work, [argument])
            except Exception as second:
                _settle(future, second)
            else:
                _settle(future, result)
        else:
            _settle(future, error)


def _settle(future: asyncio.Future[Result], result: Result | Exception) -> None:
    if future.done():  # its caller went away
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


# ------------------------------------------------------------------ engines


def driver_url(url: str) -> sa.URL:
    """The operator's `postgresql://` or `sqlite:///` with the driver we use; libpq's `sslmode` becomes asyncpg's."""
    target = sa.make_url(url)
    if target.get_backend_name() == "sqlite":
        return target.set(drivername="sqlite+aiosqlite")
    sslmode = target.query.get("sslmode")
    if sslmode is not None:
        target = target.difference_update_query(["sslmode"]).update_query_dict({"ssl": sslmode})
    return target.set(drivername="postgresql+asyncpg")


def _postgres_engines(url: str) -> tuple[AsyncEngine, AsyncEngine]:
    engine = create_async_engine(
        driver_url(url),
        pool_size=10,
        max_overflow=5,
        pool_timeout=WAIT_SECONDS,
        pool_recycle=1800,
        pool_reset_on_return=None,  # every session ends its transaction itself
        hide_parameters=True,  # errors are logged, and parameters are messages and secrets
        connect_args={"timeout": 10, "command_timeout": WAIT_SECONDS},
    )
    return engine, engine


def _sqlite_engines(url: str) -> tuple[AsyncEngine, AsyncEngine]:
    driver: dict[str, Any] = {
        "pool_timeout": WAIT_SECONDS,
        "pool_reset_on_return": None,  # every session ends its transaction itself
        "hide_parameters": True,  # errors are logged, and parameters are messages and secrets
        "connect_args": {"async_creator_fn": sqlite.connect},
    }
    writer = create_async_engine(driver_url(url), pool_size=1, max_overflow=0, **driver)
    reader = create_async_engine(driver_url(url), pool_size=8, max_overflow=0, **driver)
    _prepare(writer, "BEGIN IMMEDIATE")
    _prepare(reader, "BEGIN", "PRAGMA query_only=ON")
    return writer, reader


def _prepare(engine: AsyncEngine, begin: str, *pragmas: str) -> None:
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin on its own
        cursor = connection.cursor()
        for pragma in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "PRAGMA busy_timeout=5000",
            "PRAGMA foreign_keys=ON",
            "PRAGMA cache_size=-65536",
            "PRAGMA journal_size_limit=67108864",
            *pragmas,
        ):
            cursor.execute(pragma)
        cursor.close()

    sa_event.listen(engine.sync_engine, "connect", connected)
    sa_event.listen(engine.sync_engine, "begin", lambda connection: _driver(connection).begin(begin))


def _driver(connection: sa.Connection) -> sqlite.Connection:
    return cast("sqlite.Connection", connection.connection.driver_connection)
