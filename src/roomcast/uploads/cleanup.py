"""Removing what nothing refers to. Bytes go first and rows after them, so a crash in between costs a repetition only,
and bytes without a row, which only a lost database or a lost race can leave, are found by looking through the storage.
"""

from collections.abc import Sequence
from uuid import UUID

from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.uploads import actions, policy, queries
from roomcast.uploads.models import File, blob, thumbnail
from roomcast.uploads.storage import Blob, Storage

SWEPT = 200
"""Files removed in one go."""


async def delete_unused_files(db: Database, storage: Storage) -> None:
    """Give up what was never used in a day, then remove all that was given up, and what messages and people left."""
    async with db.work() as work:
        await actions.give_up(work)
    while gone := await _given_up(db):
        for file in gone:
            await _remove(storage, file)
        async with db.work() as work:
            await actions.forget(work, [file.id for file in gone])


async def _given_up(db: Database) -> list[File]:
    async with db.read() as session:
        return await queries.given_up(session, SWEPT)


async def _remove(storage: Storage, file: File) -> None:
    if file.sha256 is not None:
        name = blob(file.id, file.sha256)
        await storage.remove(thumbnail(name))
        await storage.remove(name)


async def delete_orphaned_blobs(db: Database, storage: Storage) -> None:
    """Remove bytes that have lain for a day without a row of their name. Reads the names of all there is."""
    before = now() - policy.KEPT
    async for page in storage.blobs():
        old = [found for found in page if found.since < before]
        for stray in await _strays(db, old):
            await storage.remove(stray.name)


async def _strays(db: Database, found: Sequence[Blob]) -> list[Blob]:
    owners = {each.name: _owner(each.name) for each in found}
    async with db.read() as session:
        files = await queries.files_by_id(session, {id_ for id_ in owners.values() if id_ is not None})
    known = {blob(file.id, file.sha256) for file in files.values() if file.sha256 is not None}
    return [each for each in found if owners[each.name] and each.name.removesuffix("-thumbnail") not in known]


def _owner(name: str) -> UUID | None:
    """The file whose bytes have this name; None for what is not ours, which is left alone."""
    try:
        return UUID(hex=name.partition("-")[0])
    except ValueError:
        return None
