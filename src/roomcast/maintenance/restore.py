"""`roomcast restore`: puts the database, the uploads and the keys of a backup in place.

Everything is checked before anything changes. The database comes last and is replaced in one step: an SQLite file by a
rename, the tables of PostgreSQL by one transaction. A file in the data folder tells of a restore that was interrupted:
the server does not start then, and the restore can be run again.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from roomcast.accounts.models import User
from roomcast.components import open_storage
from roomcast.core import migrations
from roomcast.core.columns import table
from roomcast.core.ids import uuid7
from roomcast.core.process_lock import AlreadyRunning, FileLock, sqlite_lock_path
from roomcast.data_folder import data_folder, incoming_folder
from roomcast.maintenance import archive, databases, postgres_tools
from roomcast.maintenance.archive import DATABASE_PART, KEYS, READ_BYTES, UPLOADS, Manifest
from roomcast.maintenance.databases import STORE
from roomcast.settings import Settings
from roomcast.startup import unfinished_restore
from roomcast.tables import metadata
from roomcast.uploads import ownership
from roomcast.uploads.storage import Storage, flush_folder


class RestoreRefused(Exception):
    """Nothing was changed. The message says why, and what to do."""


@dataclass(slots=True)
class Restored:
    manifest: Manifest
    uploads: int = 0


async def restore(settings: Settings, path: Path, *, replaces: bool = False) -> Restored:
    """Put a backup in place. `replaces`: also where there is data already, which is then lost.

    Raises RestoreRefused, and ToolFailed of PostgreSQL's tools.
    """
    try:
        manifest = await asyncio.to_thread(archive.verify, path)
    except (archive.BrokenArchive, OSError) as error:
        raise RestoreRefused(f"{path} cannot be restored: {error}") from None
    _check_manifest(manifest, settings)
    async with _locked(settings):
        return await _restore(settings, path, manifest, replaces=replaces)


async def _restore(settings: Settings, path: Path, manifest: Manifest, *, replaces: bool) -> Restored:
    unfinished, storage = unfinished_restore(settings), open_storage(settings)
    if not replaces and not unfinished.exists():
        await _check_empty(settings, storage, manifest)
    unfinished.write_text(f"{path.absolute()}\n")
    restored = Restored(manifest)
    if manifest.installation_id is not None:  # before the files: another server must not sweep them
        await _mark(storage, UUID(manifest.installation_id))
    await _put_files(settings, storage, path, restored)
    await (_restore_sqlite if settings.is_sqlite else _restore_postgres)(settings, path, manifest)
    unfinished.unlink()
    return restored


# ------------------------------------------------------------------ checks


def _check_manifest(manifest: Manifest, settings: Settings) -> None:
    kind = "sqlite" if settings.is_sqlite else "postgresql"
    if manifest.database != kind:
        raise RestoreRefused(
            f"the backup is of {manifest.database}, and ROOMCAST_DATABASE_URL is of {kind}: restore it into "
            f"{manifest.database}, then run `roomcast copy`"
        )
    if manifest.revision > migrations.head():
        raise RestoreRefused(
            f"the backup was made by the later release {manifest.release} (revision {manifest.revision}; this release "
            f"knows {migrations.head()}): install that release or a later one"
        )


@asynccontextmanager
async def _locked(settings: Settings) -> AsyncIterator[None]:
    """Let no server start on the SQLite file during the block. Raises RestoreRefused if another process has the
    database open."""
    if not settings.is_sqlite:
        await _check_connections(settings.database_direct_url)
        yield
        return
    data_folder(settings)
    try:
        with FileLock(sqlite_lock_path(settings.database_url)):
            await asyncio.to_thread(_check_file_unused, databases.sqlite_path(settings.database_url))
            yield
    except AlreadyRunning as running:
        raise RestoreRefused(f"a server uses this database ({running}): stop it first") from None


async def _check_connections(url: str) -> None:
    async with databases.engine(url) as target:
        try:
            async with target.connect() as connection:
                others = await databases.other_connections(connection)
        except (DBAPIError, OSError) as error:
            raise RestoreRefused(f"ROOMCAST_DATABASE_URL: the database cannot be used: {error}") from None
    if others:
        raise RestoreRefused(f"{others} other connections to this database are open: stop all servers first")


def _check_file_unused(path: Path) -> None:
    if not path.exists():
        return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=1)) as file:
        try:
            # In this mode SQLite uses no shared memory, so that every other open connection is in its way.
            file.execute("PRAGMA locking_mode=EXCLUSIVE")
            file.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise RestoreRefused(f"another process has {path} open: stop the server first") from None
        except sqlite3.DatabaseError:
            pass  # a damaged file is what a restore is for


async def _check_empty(settings: Settings, storage: Storage, manifest: Manifest) -> None:
    marked = await _marked_id(storage)
    if marked not in (None, manifest.installation_id):
        raise RestoreRefused("the uploads beside it are of another installation: see --replace")
    if settings.is_sqlite and not databases.sqlite_path(settings.database_url).exists():
        return
    async with databases.engine(settings.database_direct_url) as target, target.connect() as connection:
        try:
            if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(User.__tablename__)):
                return
            users = (await connection.execute(sa.select(sa.func.count()).select_from(table(User)))).scalar_one()
        except DBAPIError:
            raise RestoreRefused("the database cannot be read: see --replace") from None
    if users:
        raise RestoreRefused(f"the database has {users} accounts already, which would be lost: see --replace")


async def _marked_id(storage: Storage) -> str | None:
    try:
        found = await ownership.marked_id(storage)
    except ownership.ForeignStorage:
        return "unknown"
    return None if found is None else str(found)


async def _mark(storage: Storage, installation_id: UUID) -> None:
    if await _marked_id(storage) != str(installation_id):
        await storage.remove(ownership.MARKER)
        await storage.create(ownership.MARKER, f"{installation_id}\n".encode())


# ------------------------------------------------------------------ files


async def _put_files(settings: Settings, storage: Storage, path: Path, restored: Restored) -> None:
    folder, incoming = data_folder(settings), incoming_folder(settings)
    for name, content in archive.members(path):
        if name in KEYS:
            temporary = folder / f"{name}.restored"
            await asyncio.to_thread(_extract, [content], temporary)
            temporary.replace(folder / name)
        elif name.startswith(UPLOADS):
            stored = name.removeprefix(UPLOADS)
            temporary = incoming / f"{stored}.restored"
            await asyncio.to_thread(_extract, [content], temporary)
            await storage.put(stored, temporary)
            temporary.unlink(missing_ok=True)
            restored.uploads += 1


def _extract(parts: "Iterator[IO[bytes]] | list[IO[bytes]]", target: Path) -> None:
    with target.open("wb") as file:
        for part in parts:
            shutil.copyfileobj(part, file, READ_BYTES)


def _database_parts(path: Path) -> Iterator[IO[bytes]]:
    for is_database, found in groupby(archive.members(path), lambda member: member[0].startswith(DATABASE_PART)):
        if is_database:
            yield from (content for _, content in found)


# ------------------------------------------------------------------ the database


async def _restore_sqlite(settings: Settings, path: Path, _manifest: Manifest) -> None:
    """Migrate a copy beside the database, then put it in place."""
    target = databases.sqlite_path(settings.database_url)
    made = target.with_name(f"{target.name}.restored")
    await asyncio.to_thread(_delete_logs, made)  # of a restore that was interrupted
    await asyncio.to_thread(_extract, _database_parts(path), made)
    url = f"sqlite:///{made}"
    await migrations.upgrade(url)
    async with databases.engine(url, pragmas=("synchronous=FULL",)) as copy, copy.begin() as connection:
        await connection.execute(sa.update(STORE).values(**_new_epoch()))
    await asyncio.to_thread(_replace_sqlite, made, target)


def _new_epoch() -> dict[str, object]:
    return {"epoch": uuid7(), "timeline": None, "deletions_held_until": None}


def _replace_sqlite(made: Path, target: Path) -> None:
    """SQLite replays a log that it finds beside a file, also if the file is another one now. So the log goes first."""
    with closing(sqlite3.connect(made)) as file:
        file.execute("PRAGMA journal_mode=DELETE")  # all that is in the log of the copy gets into its file
    _delete_logs(target)
    made.replace(target)
    flush_folder(target.parent)
    _delete_logs(made)


def _delete_logs(path: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


async def _restore_postgres(settings: Settings, path: Path, manifest: Manifest) -> None:
    url = settings.database_direct_url
    async with databases.engine(url) as target, target.connect() as connection:
        major = int((await connection.execute(sa.text("SHOW server_version_num"))).scalar_one()) // 10_000
    schema = manifest.schema or "public"
    tables = ["message_ids", *(each.name for each in metadata.sorted_tables)]  # with partitions there is one more
    then = f"UPDATE \"{schema}\".store SET epoch = '{uuid7()}', timeline = NULL, deletions_held_until = NULL"  # noqa: S608
    restore_tables = postgres_tools.restore
    await asyncio.to_thread(
        lambda: restore_tables(url, major, schema, _database_parts(path), drop=[*tables, "alembic_version"], then=then)
    )
    await migrations.upgrade(url)
