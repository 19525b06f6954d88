"""Deletes files that nothing uses, and stored bytes without a file.

Bytes are deleted before their rows, so a crash in between only means that the deletion is repeated. Bytes without a row
remain after a lost database or a lost race; they are found by listing the storage.
"""

import logging
from collections.abc import Sequence

from roomcast.core import event_log
from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.uploads import actions, ownership, policy, queries
from roomcast.uploads.models import blob_name, file_id, thumbnail_name
from roomcast.uploads.storage import Storage

logger = logging.getLogger("roomcast.uploads")

BATCH_SIZE = 200
"""Files that are deleted at a time."""


async def delete_unused_files(db: Database, storage: Storage) -> None:
    """Expire files that were not used within a day, then delete all files that nothing can use any more."""
    async with db.work() as work:
        await actions.expire_unused_files(work)
    while True:
        async with db.read() as session:
            # One snapshot: what is abandoned before a backup holds back deletions is abandoned in the backup, too.
            is_held = await event_log.deletions_are_held(session)
            files = await queries.abandoned_files(session, BATCH_SIZE)
        if is_held or not files:
            return
        names = [blob_name(file.id, file.sha256) for file in files if file.sha256 is not None]
        for name in names:
            await storage.remove(thumbnail_name(name))
            await storage.remove(name)
        async with db.work() as work:
            await actions.delete_files(work, [file.id for file in files])
        logger.info("deleted %d files that nothing used any more", len(files))
        logger.debug("deleted from the storage: %s", ", ".join(names))


async def delete_orphaned_blobs(db: Database, storage: Storage) -> None:
    """Delete bytes that are older than a day and belong to no row. Lists the names of all stored bytes.

    Deletes nothing in the storage of another installation, nor if the database knows no files at all: then it is more
    likely that the wrong database is open than that every file has been deleted.
    """
    async with db.read() as session:
        if await event_log.deletions_are_held(session):
            return
        has_files = await queries.has_files(session)
    if not has_files:
        return
    if not await ownership.is_own(db, storage):
        logger.error("no stray bytes are deleted: the storage belongs to another installation, see `roomcast doctor`")
        return
    before = now() - policy.UNUSED_RETENTION
    count = 0
    async for page in storage.list_blobs():
        names = await _orphans(db, [found.name for found in page if found.modified_at < before])
        for name in names:
            await storage.remove(name)
            logger.debug("deleted from the storage: %s", name)
        count += len(names)
    if count:
        logger.info("deleted %d stored objects that belong to no file", count)


async def _orphans(db: Database, names: Sequence[str]) -> list[str]:
    async with db.read() as session:
        known = await queries.known_blobs(session, names)
    return [name for name in names if file_id(name) is not None and name.removesuffix("-thumbnail") not in known]
