"""Deletes files that nothing uses, and stored bytes without a file.

Bytes are deleted before their rows, so a crash in between only means that the deletion is repeated. Bytes without a row
remain after a lost database or a lost race; they are found by listing the storage.
"""

from uuid import UUID

from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.uploads import actions, policy, queries
from roomcast.uploads.models import blob_name, thumbnail_name
from roomcast.uploads.storage import Storage

BATCH_SIZE = 200
"""Files that are deleted at a time."""


async def delete_unused_files(db: Database, storage: Storage) -> None:
    """Expire files that were not used within a day, then delete all files that nothing can use any more."""
    async with db.work() as work:
        await actions.expire_unused_files(work)
    while True:
        async with db.read() as session:
            files = await queries.abandoned_files(session, BATCH_SIZE)
        if not files:
            return
        for file in files:
            if file.sha256 is not None:
                name = blob_name(file.id, file.sha256)
                await storage.remove(thumbnail_name(name))
                await storage.remove(name)
        async with db.work() as work:
            await actions.delete_files(work, [file.id for file in files])


async def delete_orphaned_blobs(db: Database, storage: Storage) -> None:
    """Delete bytes that are older than a day and belong to no row. Lists the names of all stored bytes."""
    before = now() - policy.UNUSED_RETENTION
    async for page in storage.list_blobs():
        old = [found for found in page if found.modified_at < before]
        owners = {each.name: _file_id(each.name) for each in old}
        async with db.read() as session:
            files = await queries.files_by_id(session, {id_ for id_ in owners.values() if id_ is not None})
        known = {blob_name(file.id, file.sha256) for file in files.values() if file.sha256 is not None}
        for name, id_ in owners.items():
            if id_ is not None and name.removesuffix("-thumbnail") not in known:
                await storage.remove(name)


def _file_id(name: str) -> UUID | None:
    """The id of the file whose bytes have this name; None for foreign names, which are never deleted."""
    try:
        return UUID(hex=name.partition("-")[0])
    except ValueError:
        return None
