"""/health/ready reports within seconds, and with few writes, whether messages can be stored."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import httpx
import pytest
import sqlalchemy as sa

from roomcast.core import migrations
from tests import servers
from tests.api_clients import SEND, Json, UserClient, sign_up
from tests.children import Scratch, hand_over
from tests.conftest import MakeApp
from tests.running_app import RunningApp, open_app, settings_for
from tests.storage.conftest import ON_POSTGRESQL, locked_rooms
from tests.storage.proxy import PostgresProxy


async def report(app: RunningApp) -> Json:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{app.url}/health/ready", timeout=10)
    return {"code": answer.status_code, **answer.json()}


async def readiness(app: RunningApp) -> tuple[int, str]:
    found = await report(app)
    return found["code"], found["database"]


async def until_ready(app: RunningApp, status: int) -> None:
    async with asyncio.timeout(10):
        while (await readiness(app))[0] != status:  # noqa: ASYNC110 (the endpoint has to be polled)
            await asyncio.sleep(0.05)


@ON_POSTGRESQL
async def test_a_read_only_database_is_not_ready(app: RunningApp, ann: UserClient, database_url: str) -> None:
    await until_ready(app, 200)
    connection = await asyncpg.connect(database_url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", name
    )
    await until_ready(app, 503)
    await asyncio.sleep(1.1)  # longer than a result is reused
    assert (await ann.execute("{ rooms { totalCount } }"))["rooms"] is not None
    assert await readiness(app) == (503, "down")
    await connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", name
    )
    await connection.close()
    await until_ready(app, 200)


@ON_POSTGRESQL
async def test_a_silent_database_is_not_ready_within_seconds(proxied: RunningApp, proxy: PostgresProxy) -> None:
    await until_ready(proxied, 200)
    await asyncio.sleep(1)  # as long as a result is reused
    async with proxy.mute():
        started = time.monotonic()
        assert await readiness(proxied) == (503, "down")
        assert time.monotonic() - started < 3.5  # the driver takes two seconds more to give up
        assert (await report(proxied))["status"] == "down"
    await until_ready(proxied, 200)


@ON_POSTGRESQL
async def test_a_server_with_a_locked_room_is_ready(app: RunningApp, ann: UserClient, database_url: str) -> None:
    room_id = await ann.create_room("den")
    async with locked_rooms(database_url, room_id):
        assert await readiness(app) == (200, "ok")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_locked_file_is_not_ready(app: RunningApp, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "roomcast.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        await until_ready(app, 503)
        other.execute("ROLLBACK")
    other.close()
    await until_ready(app, 200)


async def test_many_readiness_checks_share_one_write(app: RunningApp) -> None:
    await until_ready(app, 200)
    commits: list[object] = []

    def on_commit(connection: object) -> None:
        commits.append(connection)

    engine = app.roomcast.db._writer.sync_engine
    sa.event.listen(engine, "commit", on_commit)
    started = time.monotonic()
    assert all(await asyncio.gather(*(app.roomcast.database_probe() for _ in range(200))))
    elapsed = time.monotonic() - started
    sa.event.remove(engine, "commit", on_commit)
    assert len(commits) <= 1 + elapsed


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_server_without_its_broker_is_degraded_and_serves(make_app: MakeApp) -> None:
    app = await make_app(bus_url="redis://127.0.0.1:1")
    found = await report(app)
    assert (found["code"], found["status"], found["database"], found["bus"]) == (200, "degraded", "ok", "down")
    assert "broker" in found["detail"]
    async with await sign_up(app, "ann") as ann:
        room_id = await ann.create_room("den")
        assert (await ann.send(room_id, "hello"))["errors"] == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_data_folder_that_cannot_be_written_degrades_a_server_with_postgresql(
    app: RunningApp, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "uploads")
    found = await report(app)
    assert (found["code"], found["status"], found["files"]) == (200, "degraded", "down")
    (tmp_path / "uploads" / "incoming").mkdir(parents=True)


async def test_a_full_disk_is_not_ready(sqlite_template: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        shutil.copy(sqlite_template, disk / "roomcast.db")
        async with open_app(settings_for(f"sqlite:///{disk}/roomcast.db", disk)) as app:
            await until_ready(app, 200)
            filler = fill(disk)
            await until_ready(app, 503)
            filler.unlink()
            await until_ready(app, 200)


def fill(disk: Path) -> Path:
    """Use up the disk. Returns the file that does."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system in memory. Only root may mount one, and not in every container."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_of_postgresql_is_not_ready(postgres_server: servers.Server, tmp_path: Path) -> None:
    scratch = Scratch()
    with small_disk(scratch.path / "disk", megabytes=32) as disk:
        hand_over(disk)
        server = await asyncpg.connect(postgres_server.url)
        await server.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        url = await servers.create_database(postgres_server.url, "on_a_small_disk")
        await server.execute("ALTER DATABASE on_a_small_disk SET TABLESPACE small")
        await migrations.upgrade(url)
        try:
            async with (
                open_app(settings_for(url, tmp_path, rate_limits="off")) as app,
                await sign_up(app, "ann") as ann,
            ):
                room = await ann.create_room("den")
                filler = fill(disk)
                while not (await ann.post(message(room))).json().get("errors"):
                    pass
                await until_ready(app, 503)
                filler.unlink()
                await until_ready(app, 200)
                assert "errors" not in (await ann.post(message(room))).json()
        finally:
            await server.execute("DROP DATABASE on_a_small_disk WITH (FORCE)")
            await server.execute("DROP TABLESPACE small")
            await server.close()
    scratch.remove()


def message(room: str) -> Json:
    return {"query": SEND, "variables": {"input": {"roomId": room, "body": "x" * 3_000}}}
