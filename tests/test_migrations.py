"""Migrations create the tables of the models on both databases, also when many processes start at once."""

import asyncio
import filecmp
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from roomcast.core import migrations
from roomcast.core.db import driver_url
from roomcast.core.process_lock import FileLock, sqlite_lock_path
from roomcast.settings import WrongSetting
from roomcast.startup import prepare_database
from roomcast.tables import metadata
from tests import servers
from tests.running_app import SECRET, settings_for

LIMIT_SECONDS = 60


def roomcast(*arguments: str, **settings: str) -> subprocess.Popen[str]:
    """Run the command in a separate process with only these settings."""
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
            return await connection.run_sync(_compare)
    finally:
        await engine.dispose()


def _compare(connection: sa.Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True, "include_object": migrations.is_model}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


@pytest.mark.plain_tables
async def test_the_migrations_create_exactly_the_tables_of_the_models(database_url: str) -> None:
    assert await differences(database_url) == []
    assert await migrations.revision(database_url) == migrations.head()


def test_the_newest_revision_is_found_without_importing_alembic() -> None:
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
    output = [await asyncio.to_thread(process.communicate, timeout=LIMIT_SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, output
    assert await migrations.revision(url) == migrations.head()
    assert await differences(url) == []


async def test_the_embedded_database_migrates_itself_at_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'roomcast.db'}"
    await prepare_database(settings_for(url, tmp_path / "new", migrate_on_start=None))
    assert await migrations.revision(url) == migrations.head()


async def test_commands_do_not_migrate_sqlite_under_a_running_server(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'roomcast.db'}"
    await asyncio.to_thread(command.upgrade, migrations.config(url), "0011")
    create_admin = ("create-admin", "--username", "ann", "--password", "correct horse battery")
    with FileLock(sqlite_lock_path(url)):
        for arguments in (("migrate",), create_admin):
            refused = roomcast(*arguments, data_dir=str(tmp_path))
            output, _ = await asyncio.to_thread(refused.communicate, timeout=LIMIT_SECONDS)
            assert refused.returncode == 2
            assert output.startswith("ROOMCAST_DATABASE_URL: a server of an earlier release uses this SQLite database")
        assert await migrations.revision(url) == "0011"
        await asyncio.to_thread(command.upgrade, migrations.config(url), "head")
        beside = roomcast(*create_admin, data_dir=str(tmp_path))
        output, _ = await asyncio.to_thread(beside.communicate, timeout=LIMIT_SECONDS)
        assert beside.returncode == 0, output


async def test_a_server_with_an_external_database_that_is_not_migrated_names_the_command_to_run(
    postgres_server: servers.Server, tmp_path: Path
) -> None:
    url = await servers.create_database(postgres_server.url, "not_migrated")
    with pytest.raises(WrongSetting, match="`roomcast migrate`"):
        await prepare_database(settings_for(url, tmp_path, migrate_on_start=None))
    server = roomcast("serve", database_url=url, data_dir=str(tmp_path), secret_key=SECRET, port="0")
    output, _ = await asyncio.to_thread(server.communicate, timeout=LIMIT_SECONDS)
    assert server.returncode == 2
    assert "`roomcast migrate`" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("command", "url"),
    [
        ("serve", "postgresql://nobody@127.0.0.1:1/chat"),
        ("migrate", "{server}no_such_database"),
        ("migrate", "sqlite:////dev/null/chat.db"),
    ],
)
async def test_a_database_that_cannot_be_used_is_reported_in_one_line(
    command: str, url: str, tmp_path: Path, postgres_server: servers.Server
) -> None:
    url = url.format(server=postgres_server.url.rpartition("/")[0] + "/")
    process = roomcast(command, database_url=url, data_dir=str(tmp_path), secret_key=SECRET, port="0")
    output, _ = await asyncio.to_thread(process.communicate, timeout=LIMIT_SECONDS)
    assert process.returncode == 2, output
    assert output.startswith("ROOMCAST_DATABASE_URL: "), output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(("revision", "reason"), [("9999", "a newer release"), ("ae1027a6acf", "another application")])
@pytest.mark.parametrize("command", ["serve", "migrate", "doctor"])
async def test_a_database_of_another_program_is_refused_in_one_sentence(
    revision: str, reason: str, command: str, tmp_path: Path, sqlite_template: Path
) -> None:
    path = tmp_path / "roomcast.db"
    shutil.copy(sqlite_template, path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])
        database.commit()
    process = roomcast(command, data_dir=str(tmp_path), secret_key=SECRET, port="0")
    output, _ = await asyncio.to_thread(process.communicate, timeout=LIMIT_SECONDS)
    assert process.returncode != 0
    [sentence, *_] = [line for line in output.splitlines() if "ROOMCAST_DATABASE_URL" in line]
    assert f"the database cannot be used: {'a' if revision.isdecimal() else 'it'}" in sentence
    assert reason in sentence
    assert "Traceback" not in output
    assert command == "doctor" or len(output.splitlines()) == 1


async def test_a_file_that_is_not_a_database_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    shutil.copy(__file__, path)
    with pytest.raises(WrongSetting, match="ROOMCAST_DATABASE_URL"):
        await prepare_database(settings_for(f"sqlite:///{path}", tmp_path, migrate_on_start=None))
    assert filecmp.cmp(path, __file__, shallow=False)
