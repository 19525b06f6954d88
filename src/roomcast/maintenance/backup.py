"""`roomcast backup`: an archive of the database as of one moment and of the uploads that it refers to.

The database is copied first and the uploads second: the bytes of a file are stored before a message can refer to them.
Meanwhile the server deletes no bytes (`Store.deletions_held_until`), so that all files of the copy can still be read.
"""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from roomcast.components import open_storage
from roomcast.core import migrations, sqlite
from roomcast.core.clock import now
from roomcast.data_folder import data_folder
from roomcast.maintenance import databases, postgres_tools
from roomcast.maintenance.archive import DATABASE_PART, KEYS, UPLOADS, ArchiveWriter, Manifest
from roomcast.maintenance.databases import STORE
from roomcast.maintenance.files import usable_files
from roomcast.settings import Settings
from roomcast.tables import metadata
from roomcast.uploads.storage import Storage, flush_folder

PART_BYTES = 16 * 1024 * 1024
HOLD, RENEW_SECONDS = timedelta(minutes=10), 60.0
"""How long deletions are held back at a time, and how often that is renewed. After a killed backup they go on soon."""


class BackupFailed(Exception):
    """No backup was written. The message says why."""


@dataclass(slots=True)
class Backup:
    """What was written. `missing`: files whose bytes are not in the storage, or are not those that were uploaded."""

    manifest: Manifest
    uploads: int = 0
    size: int = 0
    sha256: str = ""
    missing: list[str] = field(default_factory=list)


class Moment(NamedTuple):
    """The database as of one moment. `dump` returns its bytes in the form of the archive."""

    connection: AsyncConnection
    dump: Callable[[], AsyncIterator[bytes]]


async def write_file(settings: Settings, target: Path, *, with_keys: bool = True) -> Backup:
    """Write a backup to a new file: completely or not at all. Raises BackupFailed."""
    if target.exists():
        raise BackupFailed(f"{target} exists already")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.absolute().parent)
        try:
            with os.fdopen(handle, "wb") as out:
                made = await write(settings, out, target.absolute().parent, with_keys=with_keys)
                os.fsync(handle)
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
        flush_folder(target.absolute().parent)
    except OSError as error:
        raise BackupFailed(f"{target} could not be written: {error.strerror or error}") from None
    return made


async def write(settings: Settings, out: BinaryIO, scratch: Path, *, with_keys: bool = True) -> Backup:
    """Write a backup to a stream. `scratch`: a folder with room for a copy of the SQLite file. Raises BackupFailed."""
    writer = ArchiveWriter(out)
    url = settings.database_direct_url
    if settings.is_sqlite and not databases.sqlite_path(url).exists():  # it would be created
        raise BackupFailed(f"the database could not be read: {databases.sqlite_path(url)} does not exist")
    try:
        async with databases.engine(url) as live, _deletions_held(live), _moment(live, url, scratch) as moment:
            made = Backup(await _manifest(moment.connection, settings))
            writer.add_manifest(made.manifest)
            await _add_parts(writer, moment.dump())
            if with_keys:
                _add_keys(writer, settings)
            await _add_uploads(writer, moment.connection, open_storage(settings), made)
    except (sqlite3.Error, DBAPIError) as error:
        raise BackupFailed(f"the database could not be read: {getattr(error, 'orig', None) or error}") from None
    except postgres_tools.ToolFailed as error:
        raise BackupFailed(str(error)) from None
    writer.close()
    made.size, made.sha256 = writer.size, writer.digest.hexdigest()
    return made


# ------------------------------------------------------------------ the database


@asynccontextmanager
async def _moment(live: AsyncEngine, url: str, scratch: Path) -> AsyncIterator[Moment]:
    if not databases.is_sqlite(live):
        async with databases.snapshot(live) as connection:
            exported = (await connection.execute(sa.select(sa.func.pg_export_snapshot()))).scalar_one()
            major = int((await connection.execute(sa.text("SHOW server_version_num"))).scalar_one()) // 10_000
            schema = await databases.schema(connection) or "public"
            yield Moment(connection, lambda: postgres_tools.dump(url, major, schema, exported))
        return
    folder = Path(tempfile.mkdtemp(prefix=".roomcast-backup-", dir=scratch))
    copy = folder / "roomcast.db"
    try:
        await asyncio.to_thread(sqlite.copy, databases.sqlite_path(url), copy)
        async with databases.engine(f"sqlite:///{copy}") as copied, databases.snapshot(copied) as connection:
            yield Moment(connection, lambda: _read_file(copy))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _read_file(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(PART_BYTES):
            yield block


async def _add_parts(writer: ArchiveWriter, content: AsyncIterator[bytes]) -> None:
    """A tar archive has the size of each member before its bytes, and a dump's size is not known before its end."""
    number, part = 1, bytearray()
    async for block in content:
        part += block
        while len(part) >= PART_BYTES:
            writer.add(f"{DATABASE_PART}{number:06}", bytes(part[:PART_BYTES]))
            number, part = number + 1, part[PART_BYTES:]
    if part:
        writer.add(f"{DATABASE_PART}{number:06}", bytes(part))


async def _manifest(connection: AsyncConnection, settings: Settings) -> Manifest:
    found = (await connection.execute(sa.text("SELECT version_num FROM alembic_version"))).scalar_one()
    if found != migrations.head():
        raise BackupFailed(f"the database is at revision {found}, this release needs {migrations.head()}: migrate it")
    rows = {}
    for each in metadata.sorted_tables:
        rows[each.name] = (await connection.execute(sa.select(sa.func.count()).select_from(each))).scalar_one()
    epoch, installation = (await connection.execute(sa.select(STORE.c.epoch, STORE.c.installation_id))).one()
    return Manifest(
        release=version("roomcast"),
        revision=found,
        database="sqlite" if settings.is_sqlite else "postgresql",
        epoch=str(epoch),
        installation_id=str(installation) if installation else None,
        rows=rows,
        created_at=now().isoformat(timespec="seconds"),
        schema=await databases.schema(connection),
    )


@asynccontextmanager
async def _deletions_held(live: AsyncEngine) -> AsyncIterator[None]:
    """Let no server delete stored bytes during the block."""
    held = [await _hold(live)]
    renewing = asyncio.create_task(_renew_hold(live, held), name="hold back deletions")
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])
        async with live.begin() as connection:  # another backup that is running has set another time
            ours = STORE.c.deletions_held_until.in_(held)
            await connection.execute(sa.update(STORE).where(ours).values(deletions_held_until=None))


async def _renew_hold(live: AsyncEngine, held: list[datetime]) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        with suppress(DBAPIError):  # the next renewal comes in time
            held.append(await _hold(live))


async def _hold(live: AsyncEngine) -> datetime:
    until = now() + HOLD
    async with live.begin() as connection:
        await connection.execute(sa.update(STORE).values(deletions_held_until=until))
    return until


# ------------------------------------------------------------------ files


def _add_keys(writer: ArchiveWriter, settings: Settings) -> None:
    is_set = {"secret.key": settings.secret_key is not None, "vapid.key": settings.vapid_private_key is not None}
    for name in KEYS:
        path = data_folder(settings) / name
        if not is_set[name] and path.exists():
            writer.add(name, path.read_bytes())


async def _add_uploads(writer: ArchiveWriter, connection: AsyncConnection, storage: Storage, made: Backup) -> None:
    async for name, sha256 in usable_files(connection):
        await _add_upload(writer, storage, name, sha256, made)


async def _add_upload(writer: ArchiveWriter, storage: Storage, name: str, sha256: str | None, made: Backup) -> None:
    try:
        size = await storage.size(name)
        chunks = await storage.open(name, 0, size)
    except FileNotFoundError:
        made.missing.append(name)
        return
    found = await writer.add_stream(f"{UPLOADS}{name}", size, chunks)
    made.uploads += 1
    if sha256 is not None and found != sha256:
        made.missing.append(name)
