"""`roomcast copy`: copies a whole installation into another database, also one of the other kind.

Ids, sequence numbers and the epoch are kept, so cursors stay valid and clients only see a restart. Progress is stored
with the rows, so a copy that was killed continues. `following` adds `--follow`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from roomcast.core import migrations
from roomcast.core.process_lock import is_server_running
from roomcast.maintenance import databases, rows, targets
from roomcast.maintenance.databases import STORE
from roomcast.maintenance.rows import Connect, Key, Rows, Sums
from roomcast.maintenance.targets import CopyFailed, Progress

PRAGMAS = ("foreign_keys=OFF", "synchronous=NORMAL", "cache_size=-262144", "recursive_triggers=ON")
"""Of an SQLite target. With recursive triggers, rows that a REPLACE deletes leave the search index, too."""

REPORT_SECONDS = 2.0

Report = Callable[[str], None]
CopyFiles = Callable[[AsyncEngine], Awaitable[None]]
"""Copies the uploads that a database needs."""


async def no_files(_target: AsyncEngine) -> None:
    """The uploads stay where they are."""


@dataclass
class Meter:
    """Reports the speed of a step, and how long the rest takes."""

    report: Report
    step: str
    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    copied: int = 0
    _said: float = 0.0

    def add(self, count: int) -> None:
        self.done, self.copied = self.done + count, self.copied + count
        moment = time.monotonic()
        if moment - self._said >= REPORT_SECONDS:
            self._said = moment
            speed = self.copied / max(moment - self.began, 0.001)
            left = max(self.total - self.done, 0) / max(speed, 0.001)
            self.report(f"{self.step}: {self.done:,} of {self.total:,} rows, {speed:,.0f} rows/s, {left:.0f} s left")

    def end(self) -> None:
        seconds = max(time.monotonic() - self.began, 0.001)
        self.report(f"{self.step}: {self.copied:,} rows in {seconds:.1f} s, {self.copied / seconds:,.0f} rows/s")


@dataclass(frozen=True, slots=True)
class Origin:
    """What the `store` of the source says."""

    epoch: UUID
    installation_id: UUID | None
    moved_to: str | None


async def copy(source_url: str, target_url: str, report: Report, files: CopyFiles = no_files) -> int:
    """Copy a database that no server uses. Returns the number of rows. Raises CopyFailed, UnusableDatabase."""
    await _check_stopped(source_url)
    async with (
        opened_source(source_url) as source,
        opened_target(source, target_url) as target,
        databases.snapshot(source) as connection,
    ):
        origin = await read_origin(connection)
        if origin.moved_to is not None:
            raise CopyFailed(f"the source was copied to {origin.moved_to} already; see --abort")
        at_rest = borrowed(connection)
        await copy_tables(at_rest, target, report)
        async with target.begin() as into:
            report("building indexes")
            await targets.create_indexes(into)
        count = await verify(at_rest, target, report)
        await files(target)
        await finish(target, origin)
    return count


@asynccontextmanager
async def opened_source(url: str) -> AsyncIterator[AsyncEngine]:
    """Raises CopyFailed if there is no database at this address."""
    if url.startswith("sqlite") and not databases.sqlite_path(url).exists():  # it would be created
        raise CopyFailed(f"{databases.sqlite_path(url)} does not exist")
    async with databases.engine(url) as source:
        try:
            async with source.connect() as connection:
                has_tables = await databases.has_tables(connection)
        except (DBAPIError, OSError) as error:
            raise CopyFailed(f"the source cannot be read: {_reason(error)}") from None
        if not has_tables:
            raise CopyFailed("the source holds no installation")
        yield source


@asynccontextmanager
async def opened_target(source: AsyncEngine, target_url: str) -> AsyncIterator[AsyncEngine]:
    """The target, migrated, and empty or the same copy in progress. Raises CopyFailed."""
    async with source.connect() as connection:
        found = (await connection.execute(sa.text("SELECT version_num FROM alembic_version"))).scalar_one()
        if found != migrations.head():
            raise CopyFailed(f"the source is at revision {found}, this release needs {migrations.head()}: migrate it")
        origin = await read_origin(connection)
    await migrations.upgrade(target_url)
    async with databases.engine(target_url, PRAGMAS) as target:
        async with target.begin() as connection:
            await targets.open_target(connection, origin.epoch)
        yield target


async def read_origin(connection: AsyncConnection) -> Origin:
    """Raises CopyFailed if the source is an unfinished copy itself."""
    found = (await connection.execute(sa.select(STORE.c.epoch, STORE.c.installation_id, STORE.c.moved_to))).first()
    if found is None:
        raise CopyFailed("the source holds an unfinished copy")
    return Origin(*found)


def borrowed(connection: AsyncConnection) -> Connect:
    """A `Connect` whose connections are all this one, so that all reads see the moment that it sees."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[AsyncConnection]:
        yield connection

    return connect


async def _check_stopped(url: str) -> None:
    if url.startswith("sqlite"):
        is_used = await asyncio.to_thread(is_server_running, url)
    else:
        async with databases.engine(url) as source, source.connect() as connection:
            is_used = await databases.other_connections(connection) > 0
    if is_used:
        raise CopyFailed("the source is in use: stop its servers, or use --follow to copy while they run")


# ------------------------------------------------------------------ rows


async def copy_tables(source: Connect, target: AsyncEngine, report: Report) -> None:
    """Copy what has not been copied yet. Raises CopyFailed for rows that the target cannot store."""
    meter = Meter(report, "copying", await count_rows(source))
    for each in rows.copied_tables():
        async with target.connect() as connection:
            reached = await targets.progress_of(connection, each)
        meter.done += reached.row_count
        if not reached.is_done:
            await _copy_table(source, target, each, reached, meter)
    meter.end()


async def _copy_table(source: Connect, target: AsyncEngine, table: sa.Table, reached: Progress, meter: Meter) -> None:
    batches = rows.read_batches(source, table, reached.last_key)
    reading = asyncio.ensure_future(anext(batches, None))
    try:
        async with target.connect() as connection:
            while batch := await reading:
                reading = asyncio.ensure_future(anext(batches, None))  # the next one is read while this one is written
                reached.last_key = rows.keys_of(table, batch[-1:])[0]
                reached.row_count += len(batch)
                await _write_batch(connection, table, batch, reached)
                meter.add(len(batch))
            reached.is_done = True
            await targets.save_progress(connection, table, reached)
            await connection.commit()
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        await batches.aclose()  # type: ignore[attr-defined]


async def _write_batch(connection: AsyncConnection, table: sa.Table, batch: Rows, reached: Progress) -> None:
    try:
        await targets.save_progress(connection, table, reached)
        await rows.write_rows(connection, table, batch)
        await connection.commit()
    except Exception as error:
        await connection.rollback()
        key = await _first_unusable(connection, table, batch)
        if key is None:
            raise
        raise CopyFailed(
            f"the row {key} of {table.name} cannot be stored in the target: {_reason(error)}. Correct or delete it in "
            "the source, and run the same command again"
        ) from None


async def _first_unusable(connection: AsyncConnection, table: sa.Table, batch: Rows) -> Key | None:
    """The key of the first row that the target cannot store, None if it can store all."""
    good, bad = 0, len(batch) + 1
    while bad - good > 1:
        tried = (good + bad) // 2
        try:
            await rows.write_rows(connection, table, batch[:tried])
            good = tried
        except Exception:  # the drivers raise many kinds of errors
            bad = tried
        finally:
            await connection.rollback()
    return rows.keys_of(table, [batch[bad - 1]])[0] if bad <= len(batch) else None


def _reason(error: Exception) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error).partition("\n")[0]


async def is_complete(target: AsyncEngine) -> bool:
    """Whether all tables have been copied into it."""
    async with target.connect() as connection:
        reached = [await targets.progress_of(connection, each) for each in rows.copied_tables()]
    return all(each.is_done for each in reached)


async def count_rows(source: Connect) -> int:
    total = 0
    async with source() as connection:
        for each in rows.copied_tables():
            total += (await connection.execute(sa.select(sa.func.count()).select_from(each))).scalar_one()
    return total


# ------------------------------------------------------------------ the end


async def verify(source: Connect, target: AsyncEngine, report: Report) -> int:
    """Compare the checksums of all tables and rooms. Returns the number of rows. Raises CopyFailed."""
    meter = Meter(report, "verifying", 2 * await count_rows(source))
    wanted = await rows.checksums(source, meter.add)
    compare(wanted, await rows.checksums(target.connect, meter.add))
    meter.end()
    return sum(count for count, _ in wanted.values())


def compare(wanted: Sums, found: Sums) -> None:
    wrong = sorted(place for place in wanted.keys() | found.keys() if wanted.get(place) != found.get(place))
    if wrong:
        name, room = wrong[0]
        counts = f"{found.get(wrong[0], (0, 0))[0]} rows instead of {wanted.get(wrong[0], (0, 0))[0]}"
        where = f"{name}, room {room}" if room else name
        raise CopyFailed(f"{len(wrong)} checksums differ, the first is that of {where} ({counts}): begin again")


async def finish(target: AsyncEngine, origin: Origin) -> None:
    """Make the target usable. Its foreign keys hold from now on; those of the copied rows are checked afterwards."""
    async with target.begin() as connection:
        if (await connection.execute(sa.select(STORE.c.id))).first() is None:  # else a server may be using it already
            await targets.add_foreign_keys(connection)
            await targets.set_sequences(connection)
            await _write_store(connection, origin)
    async with target.begin() as connection:
        await targets.check_foreign_keys(connection)
        await targets.close_target(connection)
    async with target.begin() as connection:
        await connection.exec_driver_sql("ANALYZE")


async def _write_store(connection: AsyncConnection, origin: Origin) -> None:
    """The epoch stays, so cursors stay valid. The timeline is that of the source's PostgreSQL: with it the server would
    begin a new epoch. Without one, its start stores that of the target."""
    values = {"id": 1, "epoch": origin.epoch, "installation_id": origin.installation_id, "timeline": None}
    await connection.execute(sa.insert(STORE).values(**values))
