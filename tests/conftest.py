"""Fixtures of all tests: a database of each kind, a running server, and users."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from roomcast.core import migrations
from roomcast.core.partitions import partition
from roomcast.environment import ALIASES
from tests import servers
from tests.api_clients import AnonymousClient, UserClient, sign_up
from tests.databases import Databases
from tests.running_app import RunningApp, open_app, settings_for

for alias in ALIASES.values():
    os.environ.pop(alias, None)  # of another program on the developer's machine; the tests start servers

DATABASES = ["sqlite", "postgresql"]

Answer = TypeVar("Answer")


def run_in_own_loop(task: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine in an event loop of its own: session fixtures are created while the loop of a test runs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, task).result()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file."""
    path = tmp_path_factory.mktemp("template") / "roomcast.db"
    run_in_own_loop(migrations.upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Server]:
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def plain_template(postgres_server: servers.Server) -> str:
    """The name of a migrated, empty database on that server, without partitions."""
    url = run_in_own_loop(servers.create_database(postgres_server.url, "roomcast_template"))
    run_in_own_loop(migrations.upgrade(url))
    return "roomcast_template"


@pytest.fixture(scope="session")
def postgres_template(postgres_server: servers.Server, plain_template: str) -> str:
    """The same with the number of partitions that ROOMCAST_TEST_PARTITIONS names."""
    partition_count = os.environ.get("ROOMCAST_TEST_PARTITIONS")
    if not partition_count:
        return plain_template
    url = run_in_own_loop(servers.create_database(postgres_server.url, "roomcast_partitions", plain_template))
    run_in_own_loop(partition(url, int(partition_count)))
    return "roomcast_partitions"


@pytest.fixture(scope="session")
def databases(postgres_server: servers.Server, postgres_template: str) -> Databases:
    return Databases(postgres_server.url, postgres_template)


@pytest.fixture(scope="session")
def plain_databases(postgres_server: servers.Server, plain_template: str) -> Databases:
    return Databases(postgres_server.url, plain_template)


@pytest_asyncio.fixture(params=DATABASES)
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database. Tests that use it run once per kind of database. Those with the marker
    `plain_tables` get one without partitions."""
    if request.param == "sqlite":
        path = tmp_path / "roomcast.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    is_plain = request.node.get_closest_marker("plain_tables") is not None
    databases: Databases = request.getfixturevalue("plain_databases" if is_plain else "databases")
    url = await databases.take()
    yield url
    await databases.give_back(url)


MakeApp = Callable[..., Awaitable[RunningApp]]


@pytest_asyncio.fixture
async def make_app(database_url: str, tmp_path: Path) -> AsyncIterator[MakeApp]:
    """Starts servers with their own settings on the test database. Several servers act like several processes."""
    async with AsyncExitStack() as stack:

        async def make(**changes: Any) -> RunningApp:
            return await stack.enter_async_context(open_app(settings_for(database_url, tmp_path, **changes)))

        yield make


@pytest_asyncio.fixture
async def app(make_app: MakeApp) -> RunningApp:
    return await make_app()


@pytest_asyncio.fixture
async def anonymous(app: RunningApp) -> AsyncIterator[AnonymousClient]:
    """A client without an account."""
    async with AnonymousClient(app) as client:
        yield client


@pytest_asyncio.fixture
async def ann(app: RunningApp) -> AsyncIterator[UserClient]:
    """The first user, who is an administrator."""
    async with await sign_up(app, "ann") as client:
        yield client


@pytest_asyncio.fixture
async def bob(app: RunningApp, ann: UserClient) -> AsyncIterator[UserClient]:
    async with await sign_up(app, "bob") as client:
        yield client


@pytest_asyncio.fixture
async def cleo(app: RunningApp, ann: UserClient) -> AsyncIterator[UserClient]:
    async with await sign_up(app, "cleo") as client:
        yield client
