"""A second server process is refused where several would lose events, whoever starts it."""

import sys
from pathlib import Path

import pytest

from roomcast.core.advisory_lock import AdvisoryLock
from roomcast.core.process_lock import AlreadyRunning, is_server_running
from tests import servers
from tests.deployment.poolers import pgbouncer
from tests.process import Process, processes

pytestmark = pytest.mark.deployment

UVICORN = [sys.executable, "-m", "uvicorn", "roomcast.asgi:app"]

REFUSED = 2, 3
"""The exit codes of `roomcast serve` for a wrong setting, before and after uvicorn has started."""


async def refusal(process: Process) -> str:
    """What a process that is refused writes. Asserts that it has ended and said so without a traceback."""
    with pytest.raises(RuntimeError) as refused:
        await process.start()
    assert await process.wait_for_end() in REFUSED
    assert "Traceback" not in str(refused.value)
    return str(refused.value)


async def test_a_second_server_on_one_sqlite_file_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    async with processes(1, url, tmp_path / "first") as [first]:
        assert is_server_running(url)
        second = Process(url, tmp_path / "second", bus_url="redis://127.0.0.1:1")
        said = await refusal(second)
        assert "ROOMCAST_DATABASE_URL: another server uses this SQLite database (process " in said
        assert await first.health() == "ok"
        await first.kill()
        assert not is_server_running(url)
        second = Process(url, tmp_path / "second")
        await second.start()
        await second.stop()


async def test_a_second_server_with_the_memory_bus_is_refused(tmp_path: Path, postgres_server: servers.Server) -> None:
    url = await servers.create_database(postgres_server.url, "memory_bus")
    settings = {"migrate_on_start": "true"}
    async with processes(1, url, tmp_path / "first", **settings) as [first]:
        said = await refusal(Process(url, tmp_path / "second", **settings))
        assert "ROOMCAST_BUS_URL: another server process uses this database" in said
        assert await first.health() == "ok"
        await first.kill()
        async with processes(1, url, tmp_path / "second", **settings):
            pass


async def test_the_lock_works_through_a_pooler_and_does_not_stay_behind(postgres_server: servers.Server) -> None:
    database = await servers.create_database(postgres_server.url, "pooled_lock")
    with pgbouncer(database) as pooled:
        first, second = AdvisoryLock(f"{pooled}?pgbouncer=true"), AdvisoryLock(f"{pooled}?pgbouncer=true")
        try:
            await first.acquire()
            with pytest.raises(AlreadyRunning):
                await second.acquire()
            await first.close()
            await second.close()
            await second.acquire()
        finally:
            await first.close()
            await second.close()


async def test_uvicorn_with_workers_on_sqlite_ends_with_the_reason(tmp_path: Path) -> None:
    server = Process(f"sqlite:///{tmp_path}/chat.db", tmp_path)
    server.command = [*UVICORN, "--workers", "3", "--port", str(server.port)]
    server.spawn()
    await server.wait_for_end(60)
    assert "works with one process only" in server.log_text()
    assert "Traceback" not in server.log_text()
