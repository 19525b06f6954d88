"""What nothing uses is removed, row and bytes, whenever a process dies in between; what is used stays."""

import os
import time
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import func, select

from roomcast.core.clock import now
from roomcast.core.ids import uuid7
from roomcast.uploads import actions, cleanup
from roomcast.uploads.models import File
from roomcast.uploads.policy import UNUSED_RETENTION
from tests.api_clients import UserClient
from tests.messages.documents import DELETE
from tests.running_app import RunningApp
from tests.uploads.documents import SEND, code, codes, fetch, picture, post, put, ticket, upload


def stored(app: RunningApp) -> list[Path]:
    return [path for path in (app.roomcast.settings.data_dir / "uploads").rglob("*") if path.is_file()]


async def rows(app: RunningApp) -> int:
    async with app.roomcast.db.read() as session:
        return (await session.exec(select(func.count()).select_from(File))).one()


async def a_day_later(app: RunningApp) -> None:
    """Everything was asked for a day earlier than it was, and its bytes have lain as long."""
    async with app.roomcast.db.work() as work:
        await work.session.exec(sa.update(File).values(created_at=now() - UNUSED_RETENTION - timedelta(minutes=1)))
    for path in stored(app):
        os.utime(path, (time.time() - UNUSED_RETENTION.total_seconds() - 60,) * 2)


async def test_a_deleted_messages_files_are_gone_with_the_next_sweep_and_others_stay(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    gone, kept = [await post(ann, room_id, picture(9, 9), "a.png", "image/png") for _ in range(2)]
    await ann.mutate(DELETE, messageId=gone["message"])
    await ann.app.roomcast.delete_unused_files()
    assert (await rows(ann.app), len(stored(ann.app))) == (1, 2)
    assert (await fetch(kept["url"])).status_code == 200


async def test_what_is_not_used_for_a_day_goes_finished_or_not_and_cannot_be_used_any_more(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    kept, unused, unfinished = await post(ann, room_id, b"kept"), await upload(ann, b"unused"), await ticket(ann, 5)
    await ann.app.roomcast.delete_unused_files()
    assert await rows(ann.app) == 3
    await a_day_later(ann.app)
    await ann.app.roomcast.delete_unused_files()
    await ann.app.roomcast.delete_orphaned_blobs()
    assert (await rows(ann.app), len(stored(ann.app))) == (1, 1)
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[unused])) == ["NOT_FOUND"]
    assert code(await put(ann, unfinished, b"bytes")) == (404, "NOT_FOUND")
    assert (await fetch(kept["url"])).content == b"kept"


async def test_a_deleted_rooms_files_are_swept(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await post(ann, room_id, b"gone")
    await ann.mutate(
        "mutation ($input: RoomIdInput!) { deleteRoom(input: $input) { errors { code } } }", roomId=room_id
    )
    await ann.app.roomcast.delete_unused_files()
    assert (await rows(ann.app), stored(ann.app)) == (0, [])


async def test_a_sweep_that_died_after_the_bytes_is_finished_by_the_next(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    file = await post(ann, room_id, b"gone")
    await ann.mutate(DELETE, messageId=file["message"])
    [path] = stored(ann.app)
    path.unlink()
    await ann.app.roomcast.delete_unused_files()
    assert await rows(ann.app) == 0


async def test_a_sweep_that_died_before_the_bytes_is_finished_by_the_next(ann: UserClient) -> None:
    file = await upload(ann, b"unused")
    await a_day_later(ann.app)
    async with ann.app.roomcast.db.work() as work:
        await actions.expire_unused_files(work)
    room_id = await ann.create_room("den")
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[file])) == ["CONFLICT"]
    await ann.app.roomcast.delete_unused_files()
    assert (await rows(ann.app), stored(ann.app)) == (0, [])


async def test_bytes_without_a_row_go_after_a_day_and_foreign_files_are_left_alone(ann: UserClient) -> None:
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
    await a_day_later(ann.app)
    await ann.app.roomcast.delete_orphaned_blobs()
    assert {path.name for path in stored(ann.app)} == {name, f"{name}-thumbnail", "readme.txt"}
    assert (await fetch(kept["url"])).status_code == 200


async def test_what_a_killed_process_had_half_received_goes_after_a_day(ann: UserClient) -> None:
    half = ann.app.roomcast.settings.data_dir / "uploads" / "incoming" / "half"
    half.write_bytes(b"ha")
    await ann.app.roomcast.delete_unused_files()
    assert half.exists()
    await a_day_later(ann.app)
    await ann.app.roomcast.delete_unused_files()
    assert not half.exists()


async def test_a_row_whose_bytes_were_lost_is_a_file_that_is_not_found(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    file = await post(ann, room_id, b"lost")
    stored(ann.app)[0].unlink()
    assert code(await fetch(file["url"])) == (404, "NOT_FOUND")
    await cleanup.delete_unused_files(ann.app.roomcast.db, ann.app.roomcast.storage)
    assert await rows(ann.app) == 1
