"""The stored bytes of uploaded files: which a database needs, and copying them from one storage to another."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from roomcast.core.columns import table
from roomcast.uploads.models import File, blob_name, thumbnail_name
from roomcast.uploads.storage import Storage

FILES = table(File)


async def usable_files(connection: AsyncConnection) -> AsyncIterator[tuple[str, str | None]]:
    """The names of the stored objects of all files that can still be used, and the SHA-256 of those that have one."""
    is_abandoned = sa.and_(FILES.c.message_id.is_(None), sa.not_(FILES.c.is_avatar), FILES.c.claimed_at.is_not(None))
    wanted = sa.select(FILES.c.id, FILES.c.sha256, FILES.c.has_thumbnail).where(
        FILES.c.sha256.is_not(None), sa.not_(is_abandoned)
    )
    async with connection.stream(wanted) as found:
        async for file_id, sha256, has_thumbnail in found:
            name = blob_name(file_id, sha256)
            yield name, sha256
            if has_thumbnail:
                yield thumbnail_name(name), None


async def missing_files(database: AsyncEngine, storage: Storage) -> list[tuple[str, str | None]]:
    """What `usable_files` names and the storage does not have."""
    stored = {blob.name async for page in storage.list_blobs() for blob in page}
    async with database.connect() as connection:
        return [found async for found in usable_files(connection) if found[0] not in stored]


async def copy_files(database: AsyncEngine, source: Storage, target: Storage, scratch: Path) -> tuple[int, list[str]]:
    """Copy what the target does not have. Returns the number of copied objects, and the names of those that the source
    does not have or that were changed there."""
    lost: list[str] = []
    missing = await missing_files(database, target)
    with TemporaryDirectory(dir=scratch) as folder:
        for name, sha256 in missing:
            path = Path(folder) / name
            try:
                digest = await _download(source, name, path)
            except FileNotFoundError:
                lost.append(name)
                continue
            if sha256 is not None and digest != sha256:
                lost.append(name)
            else:
                await target.put(name, path)
            path.unlink(missing_ok=True)
    return len(missing) - len(lost), lost


async def _download(storage: Storage, name: str, path: Path) -> str:
    chunks, digest = await storage.open(name, 0, await storage.size(name)), hashlib.sha256()
    with path.open("wb") as file:
        async for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
