"""Migrations: they make what the models say, on both databases, however many processes start at once."""

import asyncio
import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from roomcast.core import migrations
from roomcast.core.db import driver_url
from roomcast.settings import WrongSetting
from roomcast.startup import prepare_database
from roomcast.tables import metadata
from tests import servers
from tests.running_app import SECRET, settings_for

LIMIT_SECONDS = 60


def roomcast(*arguments: str, **settings: str) -> subprocess.Popen[str]:
    """The command in a process of its own, with these settings alone."""
    return start("from roomcast.cli import main; main()", *arguments, **settings)


def start(program: str, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOMCAST_")}
    chosen = {f"ROOMCAST_{name.upper()}": value for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=environment | chosen,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


async def differences(url: str) -> list[object]:
    engine = create_async_engine(driver_url(url))
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_compared)
    finally:
        await engine.dispose()


def _compared(connection: sa.Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True, "include_object": migrations.is_model}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


async def test_the_migrations_make_exactly_what_the_models_say(database_url: str) -> None:
    assert await differences(database_url) == []
    assert await migrations.revision(database_url) == migrations.head()


def test_the_newest_revision_is_found_without_alembic_which_a_start_need_not_import() -> None:
    assert migrations.head() == ScriptDirectory(str(migrations.scripts())).get_current_head()
    imported = start("import sys, roomcast.cli; print(*(name for name in sys.modules if name.startswith('alembic')))")
    assert imported.communicate(timeout=LIMIT_SECONDS)[0].strip() == ""


async def empty_database(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'roomcast.db'}"
    server: servers.Server = request.getfixturevalue("postgres_server")
    return await servers.create_database(server.url, f"empty_{os.urandom(6).hex()}")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_eight_processes_that_migrate_at_once_all_succeed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = await empty_database(kind, tmp_path, request)
    program = f"import asyncio; from roomcast.core.migrations import upgrade; asyncio.run(upgrade({url!r}))"
    processes = [start(program) for _ in range(8)]
    said = [await asyncio.to_thread(process.communicate, timeout=LIMIT_SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, said
    assert await migrations.revision(url) == migrations.head()
    assert await differences(url) == []


async def test_the_embedded_database_migrates_itself_at_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'roomcast.db'}"
    await prepare_database(settings_for(url, tmp_path / "new", migrate_on_start=None))
    assert await migrations.revision(url) == migrations.head()


async def test_a_database_of_the_operators_refuses_to_start_with_the_command_to_run(
    postgres_server: servers.Server, tmp_path: Path
) -> None:
    url = await servers.create_database(postgres_server.url, "not_migrated")
    with pytest.raises(WrongSetting, match="`roomcast migrate`"):
        await prepare_database(settings_for(url, tmp_path, migrate_on_start=None))
    server = roomcast("serve", database_url=url, data_dir=str(tmp_path), secret_key=SECRET, port="0")
    said, _ = await asyncio.to_thread(server.communicate, timeout=LIMIT_SECONDS)
    assert server.returncode == 2
    assert "`roomcast migrate`" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("command", "url"),
    [
        ("serve", "postgresql://nobody@127.0.0.1:1/chat"),
        ("migrate", "{server}no_such_database"),
        ("migrate", "sqlite:////dev/null/chat.db"),
    ],
)
async def test_a_database_that_cannot_be_used_is_a_sentence(
    command: str, url: str, tmp_path: Path, postgres_server: servers.Server
) -> None:
    url = url.format(server=postgres_server.url.rpartition("/")[0] + "/")
    process = roomcast(command, database_url=url, data_dir=str(tmp_path), secret_key=SECRET, port="0")
    said, _ = await asyncio.to_thread(process.communicate, timeout=LIMIT_SECONDS)
    assert process.returncode == 2, said
    assert said.startswith("ROOMCAST_DATABASE_URL: "), said
    assert len(said.splitlines()) == 1


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    shutil.copy(__file__, path)
    with pytest.raises(WrongSetting, match="ROOMCAST_DATABASE_URL"):
        await prepare_database(settings_for(f"sqlite:///{path}", tmp_path, migrate_on_start=None))
    assert filecmp.cmp(path, __file__, shallow=False)
