"""`roomcast copy --follow`: copies a database while its server runs, and freezes it for a moment at the end.

Triggers note which rows change, from before the first row is copied. After the rows have been copied, noted rows are
copied again until few are left, and all are compared. Then no other process may write for a moment: the last rows are
copied and compared, and the source refuses all later changes. `docs/decisions` has the reasons.
"""

import asyncio
import time
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from roomcast.core.columns import table
from roomcast.core.event_log import RoomHead
from roomcast.core.outages import is_lock_failure
from roomcast.maintenance import changes, copying, databases, rows, targets
from roomcast.maintenance.changes import Changed
from roomcast.maintenance.copying import CopyFiles, Origin, Report
from roomcast.maintenance.rows import Sums
from roomcast.maintenance.targets import CopyFailed

SMALL_BACKLOG = 1_000
"""With fewer noted changes than this the source is frozen: they are copied in well under a second."""

MAX_ROUNDS = 50


@dataclass(slots=True)
class Followed:
    """The number of rows that were compared, and how long the source was locked (0 if an earlier run did it)."""

    rows: int = 0
    frozen_seconds: float = 0.0


async def follow(source_url: str, target_url: str, report: Report, files: CopyFiles = copying.no_files) -> Followed:
    """Copy a database that servers may use. Afterwards they refuse all changes. Raises CopyFailed, UnusableDatabase.

    `files` copies the uploads that the target needs: before the freeze, and after it those that came meanwhile.
    """
    moved_to = sa.make_url(target_url).render_as_string(hide_password=True)
    async with copying.opened_source(source_url) as source, copying.opened_target(source, target_url) as target:
        followed = Followed()
        async with source.connect() as connection:
            origin = await copying.read_origin(connection)
        if origin.moved_to is None:
            await changes.install(source)
            await copying.copy_tables(source.connect, target, report)
            followed.rows = await _catch_up_and_verify(source, target, report)
            await files(target)
            await _catch_up(source, target, report)
            followed.frozen_seconds = await _freeze(source, target, origin, moved_to)
        elif origin.moved_to != moved_to or not await copying.is_complete(target):
            raise CopyFailed(f"the source was copied to {origin.moved_to} already; see --abort")
        await files(target)
        await copying.finish(target, origin)
    return followed


async def abort(source_url: str) -> None:
    """Undo what `follow` did to the source, so that it can be used on. Raises CopyFailed."""
    async with copying.opened_source(source_url) as source:
        await changes.remove(source)


# ------------------------------------------------------------------ rounds


async def _catch_up(source: AsyncEngine, target: AsyncEngine, report: Report) -> None:
    """Copy changed rows until few are left. Raises CopyFailed if the source changes faster than rows are copied."""
    for _ in range(MAX_ROUNDS):
        async with databases.snapshot(source) as connection:
            ids = await _round(connection, target)
        await changes.forget(source, ids)
        report(f"following: {len(ids):,} changes")
        if len(ids) < SMALL_BACKLOG:
            return
    raise CopyFailed("the source changes faster than it can be copied: run the same command at a quieter time")


async def _catch_up_and_verify(source: AsyncEngine, target: AsyncEngine, report: Report) -> int:
    """Compare all rows, as of one moment of the source. Returns their number. Raises CopyFailed."""
    await _catch_up(source, target, report)
    async with databases.snapshot(source) as connection:
        ids = await _round(connection, target)
        async with target.begin() as into:
            report("building indexes")
            await targets.create_indexes(into)
        count = await copying.verify(copying.borrowed(connection), target, report)
    await changes.forget(source, ids)
    await _catch_up(source, target, report)
    return count


async def _round(source: AsyncConnection, target: AsyncEngine) -> list[int]:
    """Copy the rows whose changes the source's connection sees. Returns the ids of these changes.

    They are deleted after the commit of the target: if this process is killed in between, they are applied once more,
    which changes nothing.
    """
    ids, changed = await changes.pending(source)
    if changed:
        async with target.begin() as into:
            await changes.apply(source, into, changed)
    return ids


# ------------------------------------------------------------------ the freeze


async def _freeze(source: AsyncEngine, target: AsyncEngine, origin: Origin, moved_to: str) -> float:
    """Copy the last changes while nobody can write, then let the source refuse changes. Returns the seconds that it was
    locked. Raises CopyFailed, also if the source has begun a new epoch: a failover may have taken back rows that were
    copied, which no trigger notes."""
    for _ in range(changes.LOCK_TRIES):
        try:
            async with source.connect() as connection:
                await changes.lock(connection)
                began = time.monotonic()
                if (await copying.read_origin(connection)).epoch != origin.epoch:
                    raise CopyFailed("the source has begun a new epoch meanwhile: begin again with an empty target")
                await _copy_last_changes(connection, target)
                await changes.freeze(connection, moved_to)
                await connection.commit()
                return time.monotonic() - began
        except DBAPIError as error:
            if not is_lock_failure(error):
                raise
            await asyncio.sleep(0.5)
    raise CopyFailed("the source could not be locked: run the same command at a quieter time")


async def _copy_last_changes(source: AsyncConnection, target: AsyncEngine) -> None:
    """Copy and compare. What has not changed since `_catch_up_and_verify` was compared there."""
    _, changed = await changes.pending(source)
    async with target.begin() as into:
        await changes.apply(source, into, changed)
        copying.compare(await _sums(source, changed), await _sums(into, changed))


async def _sums(connection: AsyncConnection, changed: Changed) -> Sums:
    """The checksums of the changed rows and of the heads of all rooms."""
    sums: Sums = {}
    for each in rows.copied_tables():
        if each.name in changed:
            rows.add_to_sums(sums, each, await rows.read_rows(connection, each, list(changed[each.name])))
    async for heads in rows.read_batches(copying.borrowed(connection), table(RoomHead)):
        rows.add_to_sums(sums, table(RoomHead), heads)
    return sums
