"""A storage belongs to one installation: a server with another database does not start on it, and deletes nothing."""

import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from roomcast.app import open_roomcast
from roomcast.core import event_log
from roomcast.core.db import Database
from roomcast.settings import WrongSetting
from roomcast.startup import claim_storage
from roomcast.uploads import cleanup, ownership
from roomcast.uploads.storage import Folder, Storage
from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.running_app import settings_for
from tests.uploads.documents import fetch, post
from tests.uploads.test_clearing import age_files, stored


async def ids(db: Database, storage: Storage) -> tuple[object, object]:
    async with db.read() as session:
        return await event_log.installation_id(session), await ownership.marked_id(storage)


async def test_many_processes_that_start_at_once_agree_on_one_id(database_url: str, tmp_path: Path) -> None:
    databases = [Database(database_url) for _ in range(4)]
    storages = [Folder(tmp_path / "uploads") for _ in databases]
    await asyncio.gather(*(ownership.claim(db, storage) for db, storage in zip(databases, storages, strict=True)))
    found = {await ids(db, storage) for db, storage in zip(databases, storages, strict=True)}
    for db in databases:
        await db.close()
    [(in_database, in_storage)] = found
    assert in_database == in_storage is not None


async def test_the_storage_of_an_earlier_release_is_adopted(ann: UserClient) -> None:
    roomcast = ann.app.roomcast
    await post(ann, await ann.create_room("den"), b"kept")
    await roomcast.storage.remove(ownership.MARKER)
    await claim_storage(roomcast.settings)
    in_database, in_storage = await ids(roomcast.db, roomcast.storage)
    assert in_database == in_storage is not None


@pytest.mark.parametrize("has_marker", [True, False])
async def test_another_database_does_not_get_the_files_of_this_one(
    ann: UserClient, sqlite_template: Path, tmp_path: Path, has_marker: bool
) -> None:
    file = await post(ann, await ann.create_room("den"), b"kept")
    if not has_marker:
        await ann.app.roomcast.storage.remove(ownership.MARKER)
    shutil.copy(sqlite_template, tmp_path / "other.db")
    with pytest.raises(WrongSetting, match="roomcast adopt-storage"):
        async with open_roomcast(settings_for(f"sqlite:///{tmp_path / 'other.db'}", tmp_path)):
            pass
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    await age_files(ann.app)
    await cleanup.delete_orphaned_blobs(other, ann.app.roomcast.storage)
    await other.close()
    assert (await fetch(file["url"])).content == b"kept"


async def test_a_sweep_stops_when_the_storage_has_become_that_of_another_installation(
    ann: UserClient, sqlite_template: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    roomcast = ann.app.roomcast
    await post(ann, await ann.create_room("den"), b"kept")
    shutil.copy(sqlite_template, tmp_path / "other.db")
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    await ownership.adopt(other, roomcast.storage)
    await other.close()
    path = tmp_path / "stray"
    path.write_bytes(b"?")
    await roomcast.storage.put(f"{'0' * 32}-{'0' * 32}", path)
    await age_files(ann.app)
    await roomcast.delete_orphaned_blobs()
    assert (len(stored(ann.app)), "belongs to another installation" in caplog.text) == (2, True)

    await ownership.adopt(roomcast.db, roomcast.storage)
    with caplog.at_level(logging.INFO):
        await roomcast.delete_orphaned_blobs()
    assert (len(stored(ann.app)), "deleted 1 stored objects" in caplog.text) == (1, True)


async def test_a_bucket_belongs_to_one_installation(make_app: MakeApp, bucket_url: str) -> None:
    app = await make_app(storage_url=bucket_url)
    in_database, in_bucket = await ids(app.roomcast.db, app.roomcast.storage)
    assert in_database == in_bucket is not None
    await app.roomcast.storage.create(ownership.MARKER, b"something else")
    assert await ownership.marked_id(app.roomcast.storage) == in_bucket


async def test_a_storage_that_does_not_answer_does_not_stop_the_start(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app(storage_url="s3+http://KEY:SECRET@127.0.0.1:1/files")
    async with await sign_up(app, "ann") as ann:
        await ann.create_room("den")
    assert "it could not be checked whether the stored files belong to this database" in caplog.text
