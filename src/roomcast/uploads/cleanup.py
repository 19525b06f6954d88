"""Removing what nothing refers to. Bytes go first and rows after them, so a crash in between costs a repetition only,
and bytes without a row, which only a lost database or a lost race can leave, are found by looking through the storage.
"""

from collections.abc import Sequence
from uuid import UUID

from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.uploads import actions, policy, queries
from roomcast.uploads.models import File, blob_name, thumbnail_name
from roomcast.uploads.storage import Blob, Storage

BATCH_SIZE = 200
"""Files removed in one go."""


async def delete_unused_files(db: Database, storage: Storage) -> None:
    """Give up what was never used in a day, then remove all that was given up, and what messages and people left."""
    async with db.work() as work:
        await actions.expire_unused_files(work)
    while gone := await _abandoned_files(db):
        for file in gone:
            await _delete_blobs(storage, file)
        async with db.work() as work:
            await actions.delete_files(work, [file.id for file in gone])


async def _abandoned_files(db: Database) -> list[File]:
    async with db.read() as session:
        return await queries.abandoned_files(session, BATCH_SIZE)


async def _delete_blobs(storage: Storage, file: File) -> None:
    if file.sha256 is not None:
        name = blob_name(file.id, file.sha256)
        await storage.remove(thumbnail_name(name))
        await storage.remove(name)


async def delete_orphaned_blobs(db: Database, storage: Storage) -> None:
    """Remove bytes that have lain for a day without a row of their name. Reads the names of all there is."""
    before = now() - policy.UNUSED_RETENTION
    async for page in storage.list_blobs():
        old = [found for found in page if found.modified_at < before]
        for stray in await _orphans(db, old):
            await storage.remove(stray.name)


async def _orphans(db: Database, found: Sequence[Blob]) -> list[Blob]:
    owners = {each.name: _file_id(each.name) for each in found}
    async with db.read() as session:
        files = await queries.files_by_id(session, {id_ for id_ in owners.values() if id_ is not None})
    known = {blob_name(file.id, file.sha256) for file in files.values() if file.sha256 is not None}
    return [each for each in found if owners[each.name] and each.name.removesuffix("-thumbnail") not in known]


def _file_id(name: str) -> UUID | None:
    """The file whose bytes have this name; None for what is not ours, which is left alone."""
    try:
        return UUID(hex=name.partition("-")[0])
    except ValueError:
        return None
