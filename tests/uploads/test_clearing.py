"""Cleanup of unused files: rows and blobs are deleted, also after a crash in between; used files are kept."""

import os
import time
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import func, select

from roomcast.core.clock import now
from roomcast.core.ids import uuid7
from roomcast.uploads import actions, cleanup, ownership
from roomcast.uploads.models import File
from roomcast.uploads.policy import UNUSED_RETENTION
from tests.api_clients import UserClient
from tests.messages.documents import DELETE
from tests.running_app import RunningApp
from tests.uploads.documents import SEND, code, codes, fetch, picture, post, put, ticket, upload


def stored(app: RunningApp) -> list[Path]:
    files = (app.roomcast.settings.data_dir / "uploads").rglob("*")
    return [path for path in files if path.is_file() and path.name != ownership.MARKER]


async def rows(app: RunningApp) -> int:
    async with app.roomcast.db.read() as session:
        return (await session.exec(select(func.count()).select_from(File))).one()


async def age_files(app: RunningApp) -> None:
    """Make all files older than the retention of unused files, in the database and on disk."""
    async with app.roomcast.db.work() as work:
        await work.session.exec(sa.update(File).values(created_at=now() - UNUSED_RETENTION - timedelta(minutes=1)))
    for path in stored(app):
        os.utime(path, (time.time() - UNUSED_RETENTION.total_seconds() - 60,) * 2)


async def test_a_sweep_deletes_the_files_of_deleted_messages_only(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    deleted, kept = [await post(ann, room_id, picture(9, 9), "a.png", "image/png") for _ in range(2)]
    await ann.mutate(DELETE, messageId=deleted["message"])
    await ann.app.roomcast.delete_unused_files()
    assert (await rows(ann.app), len(stored(ann.app))) == (1, 2)
    assert (await fetch(kept["url"])).status_code == 200


async def test_finished_and_unfinished_files_unused_for_a_day_are_deleted(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    kept, unused, unfinished = await post(ann, room_id, b"kept"), await upload(ann, b"unused"), await ticket(ann, 5)
    await ann.app.roomcast.delete_unused_files()
    assert await rows(ann.app) == 3
    await age_files(ann.app)
    await ann.app.roomcast.delete_unused_files()
    await ann.app.roomcast.delete_orphaned_blobs()
    assert (await rows(ann.app), len(stored(ann.app))) == (1, 1)
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[unused])) == ["NOT_FOUND"]
    assert code(await put(ann, unfinished, b"bytes")) == (404, "NOT_FOUND")
    assert (await fetch(kept["url"])).content == b"kept"


async def test_a_sweep_deletes_the_files_of_a_deleted_room(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await post(ann, room_id, b"gone")
    await ann.mutate(
        "mutation ($input: DeleteRoomInput!) { deleteRoom(input: $input) { errors { code } } }", roomId=room_id
    )
    await ann.app.roomcast.delete_unused_files()
    assert (await rows(ann.app), stored(ann.app)) == (0, [])


async def test_the_next_sweep_completes_one_that_ended_after_deleting_the_blob(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    file = await post(ann, room_id, b"gone")
    await ann.mutate(DELETE, messageId=file["message"])
    [path] = stored(ann.app)
    path.unlink()
    await ann.app.roomcast.delete_unused_files()
    assert await rows(ann.app) == 0


async def test_the_next_sweep_completes_one_that_ended_before_deleting_the_blob(ann: UserClient) -> None:
    file = await upload(ann, b"unused")
    await age_files(ann.app)
    async with ann.app.roomcast.db.work() as work:
        await actions.expire_unused_files(work)
    room_id = await ann.create_room("den")
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[file])) == ["CONFLICT"]
    await ann.app.roomcast.delete_unused_files()
    assert (await rows(ann.app), stored(ann.app)) == (0, [])


async def test_blobs_without_a_row_are_deleted_after_a_day_and_foreign_files_are_not(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    kept = await post(ann, room_id, picture(9, 9), "a.png", "image/png")
    [name] = [path.name for path in stored(ann.app) if not path.name.endswith("thumbnail")]
    for stray in (f"{uuid7().hex}-{'0' * 32}", name[:33] + "f" * 32):
        path = ann.app.roomcast.settings.data_dir / stray
        path.write_bytes(b"?")
        await ann.app.roomcast.storage.put(stray, path)
    (stored(ann.app)[0].parent / "readme.txt").write_bytes(b"ours")
    await ann.app.roomcast.delete_orphaned_blobs()
    assert len(stored(ann.app)) == 5
    await age_files(ann.app)
    await ann.app.roomcast.delete_orphaned_blobs()
    assert {path.name for path in stored(ann.app)} == {name, f"{name}-thumbnail", "readme.txt"}
    assert (await fetch(kept["url"])).status_code == 200


async def test_incomplete_uploads_of_a_killed_process_are_deleted_after_a_day(ann: UserClient) -> None:
    half = ann.app.roomcast.settings.data_dir / "uploads" / "incoming" / "half"
    half.write_bytes(b"ha")
    await ann.app.roomcast.delete_unused_files()
    assert half.exists()
    await age_files(ann.app)
    await ann.app.roomcast.delete_unused_files()
    assert not half.exists()


async def test_a_file_whose_blob_is_missing_is_not_found(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    file = await post(ann, room_id, b"lost")
    stored(ann.app)[0].unlink()
    assert code(await fetch(file["url"])) == (404, "NOT_FOUND")
    await cleanup.delete_unused_files(ann.app.roomcast.db, ann.app.roomcast.storage)
    assert await rows(ann.app) == 1
