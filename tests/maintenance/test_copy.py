"""`roomcast copy`: every table and row arrives on the other database, also after a kill, and cursors stay valid."""

import asyncio
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa

from roomcast.core.event_log import Store
from roomcast.maintenance import copying, databases, rows
from roomcast.maintenance.targets import CONSTRAINTS, INDEXES, CopyFailed
from roomcast.settings import WrongSetting
from roomcast.startup import prepare_database
from roomcast.tables import metadata
from tests import servers
from tests.api_clients import ROOM_EVENTS, sign_up
from tests.delivery.test_restore import CURSOR, sign_in_again
from tests.running_app import open_app, settings_for

ROWS = 3
MOMENT = datetime(2027, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def silent(_text: str) -> None:
    """A report that nobody reads."""


@pytest_asyncio.fixture(params=["sqlite to postgresql", "postgresql to sqlite", "sqlite to sqlite"])
async def urls(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The addresses of two migrated databases without data."""
    server: servers.Server = request.getfixturevalue("postgres_server")
    found = []
    for kind in request.param.split(" to "):
        name = f"copy_{uuid.uuid4().hex}"
        if kind == "sqlite":
            shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / name)
            found.append(f"sqlite:///{tmp_path / name}")
        else:
            template = request.getfixturevalue("postgres_template")
            found.append(await servers.create_database(server.url, name, template))
    yield found[0], found[1]
    for url in found:
        if url.startswith("postgresql"):
            await servers.drop_database(server.url, url.rpartition("/")[2])


async def fill(url: str, count: int = ROWS) -> None:
    """Insert rows into every table. All ids of the rows with one number are equal, so foreign keys hold."""
    async with databases.engine(url) as engine, engine.begin() as connection:
        for table in rows.copied_tables():
            values = [{column.name: value(column, number) for column in table.columns} for number in range(count)]
            await connection.execute(sa.insert(table), values)


def value(column: sa.Column[Any], number: int) -> Any:
    made: dict[type, Any] = {
        UUID: UUID(int=number),
        int: number + 1,
        bool: number % 2 == 0,
        datetime: MOMENT + timedelta(seconds=number),
        dict: {"b": [number, None, "ü"], "a": {"c": 0.5}},
    }
    return made.get(dict if isinstance(column.type, sa.JSON) else column.type.python_type, f"{number} é 😀")


async def contents(url: str) -> dict[str, list[Any]]:
    """All rows of all tables but `store`."""
    async with databases.engine(url) as engine, engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in await connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in rows.copied_tables()
        }


async def keys_and_indexes(url: str) -> list[Any]:
    """The definitions of the constraints and indexes of PostgreSQL's tables, partitioned or not."""
    if url.startswith("sqlite"):
        return []
    async with databases.engine(url) as engine, engine.connect() as connection:
        tables = {"tables": [table.name for table in rows.copied_tables()]}
        found = [(await connection.execute(sa.text(query), tables)).all() for query in (CONSTRAINTS, INDEXES)]
    return [sorted(map(tuple, each)) for each in found]


async def store(url: str) -> Any:
    async with databases.engine(url) as engine, engine.connect() as connection:
        return (await connection.execute(sa.select(Store.__table__))).one()  # type: ignore[attr-defined]


async def test_every_table_is_copied(urls: tuple[str, str]) -> None:
    source, target = urls
    await fill(source)
    before = await keys_and_indexes(target)
    assert await copying.copy(source, target, silent) == ROWS * (len(metadata.tables) - 1)
    found = await contents(target)
    assert found == await contents(source)
    assert {name: len(each) for name, each in found.items()} == {
        name: ROWS for name in metadata.tables if name != "store"
    }
    assert (await store(target)).epoch == (await store(source)).epoch
    assert await keys_and_indexes(target) == before


async def test_clients_resume_at_the_copy_and_search_finds_messages(urls: tuple[str, str], tmp_path: Path) -> None:
    source, target = urls
    async with open_app(settings_for(source, tmp_path / "data")) as app, await sign_up(app, "ann") as ann:
        room_id = await ann.create_room("den")
        await ann.send_messages(room_id, "unforgettable", "seen")
        cursor = (await ann.execute(CURSOR, id=room_id))["room"]["streamCursor"]
        await ann.send_messages(room_id, "missed")
    await copying.copy(source, target, silent)
    async with open_app(settings_for(target, tmp_path / "data")) as app, await sign_in_again(app, "ann") as ann:
        async with ann.connect() as connection:
            subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=cursor)
            ready, missed, live = await subscription.next_events(3)
        assert (ready["recovered"], missed["message"]["body"], live["replayedCount"]) == (True, "missed", 1)
        await ann.send_messages(room_id, "unforgettable too")
        found = await ann.execute('{ searchMessages(query: "forgett", first: 9) { nodes { body } } }')
    assert len(found["searchMessages"]["nodes"]) == 2


@pytest.mark.parametrize(
    ("urls", "number", "code", "last"),
    [
        ("sqlite to postgresql", signal.SIGKILL, -signal.SIGKILL, ""),
        ("postgresql to sqlite", signal.SIGKILL, -signal.SIGKILL, ""),
        ("sqlite to postgresql", signal.SIGINT, 130, "Interrupted. Run the same command again to continue."),
    ],
    indirect=["urls"],
)
async def test_an_interrupted_copy_continues_and_no_server_starts_on_half_of_it(
    urls: tuple[str, str], number: signal.Signals, code: int, last: str, tmp_path: Path
) -> None:
    source, target = urls
    await fill(source, 40)
    program = (
        "import os, signal\n"
        "from roomcast.cli import main\n"
        "from roomcast.maintenance import rows\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # the tests may run in the background
        "rows.BATCH_ROWS, left, write = 7, 30, rows.write_rows\n"
        "async def write_rows(*arguments):\n"
        "    global left\n"
        "    await write(*arguments)\n"
        "    left -= 1\n"
        f"    if not left: os.kill(os.getpid(), {int(number)})\n"
        "rows.write_rows = write_rows\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, "copy", "--from", source, "--to", target]
    stopped = await asyncio.to_thread(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    )
    assert stopped.returncode == code, stopped.stderr
    assert stopped.stderr.splitlines()[-1:] == [last] or not last
    with pytest.raises(WrongSetting, match="unfinished copy"):
        await prepare_database(settings_for(target, tmp_path))
    said: list[str] = []
    await copying.copy(source, target, said.append)
    assert await contents(target) == await contents(source)
    [copied] = [text for text in said if text.startswith("copying") and " in " in text]
    assert 0 < int(copied.split()[1].replace(",", "")) <= 40 * (len(metadata.tables) - 1) - 29 * 6
    await prepare_database(settings_for(target, tmp_path))


@pytest.mark.parametrize("urls", ["sqlite to postgresql"], indirect=True)
async def test_a_copy_refuses_a_target_with_data_and_another_source(urls: tuple[str, str]) -> None:
    source, target = urls
    await fill(source)
    await copying.copy(source, target, silent)
    for one, other in ((source, target), (target, source), (source, source)):
        with pytest.raises(CopyFailed, match="give an empty target"):
            await copying.copy(one, other, silent)


@pytest.mark.parametrize("urls", ["sqlite to postgresql"], indirect=True)
async def test_a_row_that_the_target_cannot_store_is_named(urls: tuple[str, str]) -> None:
    source, target = urls
    await fill(source, 20)
    users = metadata.tables["users"]
    async with databases.engine(source) as engine, engine.begin() as connection:
        await connection.execute(sa.update(users).where(users.c.id == UUID(int=13)).values(bio="a\0b"))
    with pytest.raises(CopyFailed, match=str(UUID(int=13))):
        await copying.copy(source, target, silent)
    async with databases.engine(source) as engine, engine.begin() as connection:
        await connection.execute(sa.update(users).values(bio="corrected"))
    await copying.copy(source, target, silent)


@pytest.mark.parametrize("urls", ["sqlite to sqlite"], indirect=True)
async def test_a_database_that_fails_is_reported_in_one_sentence(urls: tuple[str, str], tmp_path: Path) -> None:
    source, target = urls
    async with databases.engine(source) as engine, engine.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE mentions")
    command = [sys.executable, "-m", "roomcast", "copy", "--from", source, "--to", target]
    failed = await asyncio.to_thread(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    )
    assert (failed.returncode, failed.stderr) == (
        2,
        "a database failed: no such table: mentions. Run the same command again to continue\n",
    )


@pytest.mark.parametrize("urls", ["sqlite to postgresql"], indirect=True)
async def test_a_difference_is_found(urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = urls
    await fill(source)
    finish = copying.verify
    messages = metadata.tables["messages"]

    async def verify(at_rest: Any, engine: Any, report: Any) -> int:
        async with engine.begin() as connection:
            await connection.execute(sa.update(messages).where(messages.c.seq == 2).values(body="another"))
        return await finish(at_rest, engine, report)

    monkeypatch.setattr(copying, "verify", verify)
    with pytest.raises(CopyFailed, match=f"messages, room {UUID(int=1)}"):
        await copying.copy(source, target, silent)
