"""The lock of the only server process: on an SQLite file, and on PostgreSQL with the bus `memory://`."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from roomcast.core import advisory_lock
from roomcast.core.advisory_lock import AdvisoryLock
from roomcast.core.process_lock import AlreadyRunning, FileLock, is_server_running, sqlite_lock_path
from tests import servers

HOLD = """
import subprocess, sys
from pathlib import Path
from roomcast.core.process_lock import FileLock
FileLock(Path(sys.argv[1])).acquire()
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=sys.stdin, stdout=sys.stdout)
print("held", child.pid, flush=True)
child.wait()
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock and has a child. The child ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline().startswith("held")
        yield process


def test_a_second_process_is_refused_until_the_first_one_has_ended(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/roomcast.db"
    path = sqlite_lock_path(url)
    with holder(path) as process:
        assert is_server_running(url)
        with pytest.raises(AlreadyRunning, match=f"process {process.pid} on "):
            FileLock(path).acquire()
        process.kill()
        process.wait()  # its child is still there
        assert not is_server_running(url)
        with FileLock(path):
            assert is_server_running(url)
    assert not is_server_running(url)


def test_the_lock_belongs_to_the_file_whatever_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "roomcast.db").touch()
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "other.db").symlink_to("data/roomcast.db")
    paths = {sqlite_lock_path(f"sqlite:///{tmp_path}/{name}") for name in ("data/roomcast.db", "link/roomcast.db")}
    assert paths == {sqlite_lock_path(f"sqlite:///{tmp_path}/other.db")}


def test_asking_whether_a_server_runs_creates_no_file(tmp_path: Path) -> None:
    assert not is_server_running(f"sqlite:///{tmp_path}/roomcast.db")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ PostgreSQL


@pytest_asyncio.fixture
async def url(postgres_server: servers.Server) -> AsyncIterator[str]:
    yield await servers.create_database(postgres_server.url, "advisory_lock")
    await servers.drop_database(postgres_server.url, "advisory_lock")


@pytest_asyncio.fixture
async def locks(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[AdvisoryLock, AdvisoryLock]]:
    monkeypatch.setattr(advisory_lock, "CHECK_SECONDS", 0.02)
    async with AsyncExitStack() as stack:
        both = AdvisoryLock(url), AdvisoryLock(url)
        for lock in both:
            stack.push_async_callback(lock.close)
        yield both


async def end_connections(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    await connection.close()


async def until_one_waits(url: str) -> None:
    connection = await asyncpg.connect(url)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with asyncio.timeout(20):
        while not await connection.fetchval(waiting):  # noqa: ASYNC110 (another session has to be polled)
            await asyncio.sleep(0.01)
    await connection.close()


async def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in caplog.text:  # noqa: ASYNC110 (a log has no event)
            await asyncio.sleep(0.01)


async def test_a_database_has_one_process_at_a_time(locks: tuple[AdvisoryLock, AdvisoryLock]) -> None:
    first, second = locks
    await first.acquire()
    with pytest.raises(AlreadyRunning):
        await second.acquire()
    await first.close()
    await second.close()
    await second.acquire()


async def test_a_lost_connection_is_replaced(
    locks: tuple[AdvisoryLock, AdvisoryLock], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = locks
    caplog.set_level("INFO")
    await first.acquire()
    await end_connections(url)
    await until_logged(caplog, "has its lock on the database again")
    with pytest.raises(AlreadyRunning):
        await second.acquire()


async def test_another_process_that_took_the_lock_meanwhile_is_logged_once(
    locks: tuple[AdvisoryLock, AdvisoryLock], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = locks
    caplog.set_level("INFO")
    await first.acquire()
    connection = await asyncpg.connect(url)
    lock = f"SELECT pg_advisory_lock({advisory_lock.KEY}, hashtext(current_schema()))"
    waiting = asyncio.create_task(connection.execute(lock))
    await until_one_waits(url)
    await end_connections(url)
    await waiting
    await until_logged(caplog, "another server process uses this database")
    await connection.close()
    await until_logged(caplog, "has its lock on the database again")
    assert caplog.text.count("another server process") == 1
