"""Backups are consistent while clients write, and a restore puts everything back and begins a new epoch."""

import asyncio
import hashlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from roomcast.core import migrations
from roomcast.maintenance import backup as backups
from roomcast.maintenance import databases, restore
from roomcast.settings import Settings, WrongSetting
from roomcast.startup import check_sqlite, prepare_database, unfinished_restore
from tests.api_clients import ROOM_EVENTS, UserClient, sign_up
from tests.conftest import MakeApp
from tests.delivery.test_restore import CURSOR, sign_in_again
from tests.maintenance.conftest import logs, seqs, wrong_files
from tests.messages.documents import DELETE
from tests.running_app import open_app, settings_for
from tests.uploads.documents import picture, post


@asynccontextmanager
async def load(ann: UserClient, rooms: list[str]) -> AsyncIterator[None]:
    """Clients that send, upload and delete until the block ends, while the server deletes unused files. The block
    begins when a file has been deleted."""
    done, has_deleted = asyncio.Event(), asyncio.Event()

    async def send(room_id: str) -> None:
        while not done.is_set():
            await ann.send_messages(room_id, *"abc")

    async def upload(room_id: str) -> None:
        while not done.is_set():
            await post(ann, room_id, os.urandom(5_000))
            deleted = await post(ann, room_id, os.urandom(5_000))
            await ann.mutate(DELETE, messageId=deleted["message"])
            await ann.app.roomcast.delete_unused_files()
            has_deleted.set()

    async with asyncio.TaskGroup() as group:
        for room_id in rooms:
            group.create_task(send(room_id))
            group.create_task(upload(room_id))
        try:
            await has_deleted.wait()
            yield
        finally:
            done.set()


async def test_a_backup_under_load_is_consistent_and_old_cursors_are_told(
    make_app: MakeApp, other_url: str, tmp_path: Path
) -> None:
    app = await make_app(rate_limits="off", secret_key=None)
    file = tmp_path / "backup.tar"
    async with await sign_up(app, "ann") as ann:
        rooms = [await ann.create_room(name) for name in ("one", "two")]
        for room_id in rooms:
            await post(ann, room_id, picture(9, 9), "a.png", "image/png")
        async with load(ann, rooms):
            made = await backups.write_file(app.roomcast.settings, file)
        cursor = (await ann.execute(CURSOR, id=rooms[0]))["room"]["streamCursor"]
    assert (made.missing, made.size, file.stat().st_mode & 0o777) == ([], file.stat().st_size, 0o600)
    assert made.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()

    settings = settings_for(other_url, tmp_path / "other", secret_key=None)
    await restore.restore(settings, file)
    found, messages = await logs(other_url), await seqs(other_url)
    assert len(found) == len(messages) == 2
    assert all(log == list(range(1, len(log) + 1)) and set(log) >= set(messages[room]) for room, log in found.items())
    assert await wrong_files(settings) == []
    async with open_app(settings) as restored, await sign_in_again(restored, "ann") as ann:
        async with ann.connect() as connection:
            subscription = await connection.subscribe(ROOM_EVENTS, roomId=rooms[0], after=cursor)
            [ready] = await subscription.wait_until_ready()
        await ann.send(rooms[0], "after the restore")
    assert ready["recovered"] is False


async def test_a_file_is_not_deleted_while_a_backup_reads_it(ann: UserClient, tmp_path: Path) -> None:
    roomcast = ann.app.roomcast
    room_id = await ann.create_room("den")
    file = await post(ann, room_id, b"deleted during the backup")
    async with databases.engine(roomcast.settings.database_direct_url) as live, backups._deletions_held(live):
        await ann.mutate(DELETE, messageId=file["message"])
        await roomcast.delete_unused_files()
        await roomcast.delete_orphaned_blobs()
        stored = [page async for page in roomcast.storage.list_blobs()]
        assert sum(map(len, stored)) == 1
    await roomcast.delete_unused_files()
    assert [page async for page in roomcast.storage.list_blobs()] == []


# ------------------------------------------------------------------ refusals


def files(folder: Path) -> set[Path]:
    return set(folder.iterdir())


@pytest.fixture
def settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """An installation without a running server."""
    shutil.copy(sqlite_template, tmp_path / "roomcast.db")
    return settings_for(f"sqlite:///{tmp_path / 'roomcast.db'}", tmp_path)


async def test_a_changed_or_cut_off_archive_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    await backups.write_file(settings, file)
    before = (tmp_path / "roomcast.db").read_bytes()
    content = file.read_bytes()
    for damage in (content[:5000], content[:-20_000], content[:70_000] + b"?" + content[70_001:], b"", b"no tar" * 99):
        file.write_bytes(damage)
        with pytest.raises(restore.RestoreRefused, match="cannot be restored"):
            await restore.restore(settings, file, replaces=True)
    assert (tmp_path / "roomcast.db").read_bytes() == before
    assert not unfinished_restore(settings).exists()


async def test_a_backup_overwrites_nothing_and_leaves_nothing_behind_when_it_fails(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").write_text("precious")
    with pytest.raises(backups.BackupFailed, match="exists already"):
        await backups.write_file(settings, tmp_path / "precious")
    with pytest.raises(backups.BackupFailed, match="could not be written"):
        await backups.write_file(settings, tmp_path / "no folder" / "backup.tar")
    before = files(tmp_path)
    (tmp_path / "roomcast.db").write_bytes(b"no database")
    with pytest.raises(backups.BackupFailed, match="the database could not be read"):
        await backups.write_file(settings, tmp_path / "backup.tar")
    assert files(tmp_path) == before
    assert (tmp_path / "precious").read_text() == "precious"


async def test_a_full_disk_leaves_nothing_behind(settings: Settings, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # larger files raise EFBIG; the copy needs more
    before = files(tmp_path)
    try:
        with pytest.raises(backups.BackupFailed):
            await backups.write_file(settings, tmp_path / "backup.tar")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path for path in files(tmp_path) if "db-" not in path.name} == before


async def test_a_restore_refuses_data_a_running_server_and_a_newer_backup(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await make_app()
    file = tmp_path / "backup.tar"
    async with await sign_up(app, "ann"):
        await backups.write_file(app.roomcast.settings, file)
        with pytest.raises(restore.RestoreRefused, match="stop"):
            await restore.restore(app.roomcast.settings, file, replaces=True)
    await app.roomcast.db.close()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "head", lambda: "0001")
        with pytest.raises(restore.RestoreRefused, match="later release"):
            await restore.restore(app.roomcast.settings, file)


def backup_by_hand(database: Path) -> bytes:
    with closing(sqlite3.connect(database)) as source:
        source.execute("VACUUM INTO ?", (f"{database}.copy",))
    return Path(f"{database}.copy").read_bytes()


def checkpoint(database: Path) -> None:
    """Begin the log anew, so that it has only what is written from now on."""
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("PRAGMA wal_checkpoint(RESTART)")


async def test_a_restore_over_data_needs_replace_and_replays_no_old_log(tmp_path: Path) -> None:
    database, file = tmp_path / "roomcast.db", tmp_path / "backup.tar"
    settings = settings_for(f"sqlite:///{database}", tmp_path, migrate_on_start=True)
    async with open_app(settings) as app, await sign_up(app, "ann") as ann:
        room_id = await ann.create_room("den")
        await ann.send_messages(room_id, *(f"kept {number}" for number in range(100)))
        await backups.write_file(settings, file)
        older = backup_by_hand(database)
        await ann.send_messages(room_id, *(f"lost {number}" * 20 for number in range(200)))
        checkpoint(database)
        await ann.send_messages(room_id, *(f"lost {number}" for number in range(50)))
        crashed = {path.name: path.read_bytes() for path in files(tmp_path) if path.name.startswith("roomcast.db")}
    assert crashed["roomcast.db-wal"]
    for name, content in crashed.items():
        (tmp_path / name).write_bytes(content if name != "roomcast.db" else older)  # as a restore by hand may do it
    with pytest.raises(WrongSetting, match=r"damaged .* delete the log"):
        check_sqlite(settings)
    for name, content in crashed.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(restore.RestoreRefused, match="--replace"):
        await restore.restore(settings, file)
    await restore.restore(settings, file, replaces=True)
    with sqlite3.connect(database) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert opened.execute("SELECT count(*), max(body) FROM messages").fetchall() == [(100, "kept 99")]


async def test_an_interrupted_restore_stops_the_start_and_can_be_run_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup.tar"
    await backups.write_file(settings, file)
    with monkeypatch.context() as patch:
        patch.setattr(restore, "READ_BYTES", "no number")  # an error in the middle, as good as any
        with pytest.raises(TypeError):
            await restore.restore(settings, file)
    with pytest.raises(WrongSetting, match="a restore was interrupted"):
        await prepare_database(settings)
    await restore.restore(settings, file)
    await prepare_database(settings)
