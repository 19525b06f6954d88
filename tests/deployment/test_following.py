"""`roomcast copy --follow`: all changes are followed, and the source refuses later ones until it is released."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from roomcast.core.ids import uuid7
from roomcast.core.outages import is_moved
from roomcast.maintenance import changes, copying, databases, files, following
from roomcast.maintenance.targets import CopyFailed
from roomcast.settings import WrongSetting
from roomcast.startup import prepare_database
from roomcast.tables import metadata
from roomcast.uploads.models import blob_name
from roomcast.uploads.storage import Folder
from tests.api_clients import UserClient
from tests.maintenance.test_copy import contents, fill, silent, store, urls, value
from tests.running_app import settings_for
from tests.uploads.documents import picture, post

__all__ = ["urls"]

BOTH = pytest.mark.parametrize("urls", ["sqlite to postgresql", "postgresql to sqlite"], indirect=True)
USERS, MESSAGES, ROOMS = (metadata.tables[name] for name in ("users", "messages", "rooms"))


async def execute(url: str, *statements: sa.Executable) -> None:
    async with databases.engine(url, ("foreign_keys=ON",)) as engine, engine.begin() as connection:
        for statement in statements:
            await connection.execute(statement)


def before_the_freeze(url: str, *statements: sa.Executable) -> Callable[[AsyncEngine], Awaitable[None]]:
    """For `follow`, as its `files`: changes the source once, after all rows have been copied."""
    left = [statements]

    async def change(_target: AsyncEngine) -> None:
        if left:
            await execute(url, *left.pop())

    return change


def renamed(number: int, name: str) -> sa.Executable:
    return sa.update(USERS).where(USERS.c.id == UUID(int=number)).values(username_key=name)


@BOTH
async def test_changed_deleted_and_new_rows_and_moved_unique_values_are_followed(urls: tuple[str, str]) -> None:
    source, target = urls
    await fill(source, 6)
    [first, second] = [value(USERS.c.username_key, number) for number in (3, 4)]
    new_room = {column.name: value(column, 7) for column in ROOMS.columns} | {"created_by_id": None}
    await following.follow(
        source,
        target,
        silent,
        before_the_freeze(
            source,
            sa.delete(USERS).where(USERS.c.id == UUID(int=0)),  # cascades to sessions, reactions, …
            sa.delete(ROOMS).where(ROOMS.c.id == UUID(int=1)),  # cascades to messages and what belongs to them
            sa.update(MESSAGES).where(MESSAGES.c.seq == 3).values(seq=300),  # another key
            renamed(3, "other"),
            renamed(4, first),
            renamed(3, second),
            sa.insert(ROOMS).values(**new_room),
        ),
    )
    found = await contents(target)
    assert found == await contents(source)
    assert {len(found["users"]), len(found["rooms"]), len(found["messages"])} == {5, 6}
    assert (await store(target)).epoch == (await store(source)).epoch


@BOTH
async def test_a_source_that_has_begun_a_new_epoch_is_not_frozen(urls: tuple[str, str]) -> None:
    """After a failover the source may lack rows that were copied already."""
    source, target = urls
    await fill(source)
    new_epoch = sa.update(databases.STORE).values(epoch=uuid7())
    with pytest.raises(CopyFailed, match="begun a new epoch"):
        await following.follow(source, target, silent, before_the_freeze(source, new_epoch))
    await execute(source, renamed(1, "changed"))


@pytest.mark.parametrize("urls", ["sqlite to postgresql"], indirect=True)
async def test_a_write_while_the_triggers_are_created_or_removed_does_no_harm(urls: tuple[str, str]) -> None:
    source, target = urls
    await fill(source)
    tried = 0

    def write(_connection: Any, _cursor: Any, sql: str, *_: object) -> None:
        nonlocal tried
        if "TABLE copy_changes" in sql:  # this transaction has read before
            tried += 1
            with (
                suppress(sqlite3.OperationalError),
                closing(sqlite3.connect(databases.sqlite_path(source), 0)) as other,
            ):
                other.execute("UPDATE users SET bio = 'new'")
                other.commit()

    sa.event.listen(sa.Engine, "before_cursor_execute", write)
    try:
        await following.follow(source, target, silent)
        await following.abort(source)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", write)
    assert tried == 2


@BOTH
async def test_a_copied_source_refuses_changes_and_starts_until_it_is_released(
    urls: tuple[str, str], tmp_path: Path
) -> None:
    source, target = urls
    await fill(source)
    await following.follow(source, target, silent)
    with pytest.raises(DBAPIError, match="this installation was copied to") as refused:
        await execute(source, renamed(1, "changed"))
    assert is_moved(refused.value)
    with pytest.raises(WrongSetting, match="this database was copied to"):
        await prepare_database(settings_for(source, tmp_path))
    with pytest.raises(CopyFailed, match="copied to .* already"):
        await copying.copy(source, f"sqlite:///{tmp_path / 'third.db'}", silent)
    with pytest.raises(CopyFailed, match="copied to .* already"):
        await following.follow(source, f"sqlite:///{tmp_path / 'fourth.db'}", silent)
    await following.abort(source)
    await execute(source, renamed(1, "changed"))
    await prepare_database(settings_for(source, tmp_path))
    async with databases.engine(source) as engine, engine.connect() as connection:
        assert not await connection.run_sync(lambda sync: sa.inspect(sync).has_table("copy_changes"))


@BOTH
@pytest.mark.parametrize("step", ["freeze", "finish"])
async def test_a_copy_that_ends_at_the_freeze_can_be_continued(
    urls: tuple[str, str], step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = urls
    await fill(source)

    async def fail(_connection: AsyncConnection, *_: Any) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(changes if step == "freeze" else copying, step, fail)
        with pytest.raises(RuntimeError):
            await following.follow(source, target, silent, before_the_freeze(source, renamed(1, "first")))
    with pytest.raises(WrongSetting, match="unfinished copy"):
        await prepare_database(settings_for(target, tmp_path))
    if step == "freeze":
        await execute(source, renamed(1, "second"))
    await following.follow(source, target, silent)
    await prepare_database(settings_for(target, tmp_path))
    assert await contents(target) == await contents(source)


async def test_the_bytes_of_files_are_copied_into_another_storage(ann: UserClient, tmp_path: Path) -> None:
    roomcast, other = ann.app.roomcast, Folder(tmp_path / "other")
    room_id = await ann.create_room("den")
    kept = await post(ann, room_id, picture(9, 9), "a.png", "image/png")
    lost = await post(ann, room_id, b"lost")
    await roomcast.storage.remove(blob_name(UUID(lost["id"].partition("_")[2]), lost["sha256"]))
    async with databases.engine(roomcast.settings.database_url) as database:
        count, missing = await files.copy_files(database, roomcast.storage, other, tmp_path)
        assert (count, len(missing), len(await files.missing_files(database, other))) == (2, 1, 1)
        assert (await files.copy_files(database, roomcast.storage, other, tmp_path))[0] == 0
    assert await other.size(blob_name(UUID(kept["id"].partition("_")[2]), kept["sha256"])) == kept["byteSize"]
