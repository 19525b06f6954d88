"""Restoring: clients that have received newer events than the backup contains start again."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.api_clients import LOGIN, PASSWORD, ROOM_EVENTS, AnonymousClient, UserClient, sign_up
from tests.process import SERVE
from tests.running_app import RunningApp, open_app, settings_for

CURSOR = "query Cursor($id: ID!) { room(id: $id) { streamCursor messages { nodes { body } } } }"


def roomcast(database: Path, *arguments: str, text: bool = True) -> subprocess.CompletedProcess[Any]:
    """Run a `roomcast` command on this database."""
    settings = {"ROOMCAST_DATABASE_URL": f"sqlite:///{database}", "ROOMCAST_DATA_DIR": str(database.parent)}
    command = [sys.executable, "-c", SERVE, *arguments]
    return subprocess.run(command, env=os.environ | settings, capture_output=True, text=text, timeout=60)


async def sign_in_again(app: RunningApp, name: str) -> UserClient:
    async with AnonymousClient(app) as anonymous:
        return UserClient(app, name, await anonymous.mutate(LOGIN, usernameOrEmail=name, password=PASSWORD))


async def test_after_a_restore_no_stream_claims_to_be_complete(tmp_path: Path) -> None:
    live, backup = tmp_path / "live.db", tmp_path / "backup.db"
    async with (
        open_app(settings_for(f"sqlite:///{live}", tmp_path, migrate_on_start=True)) as app,
        await sign_up(app, "ann") as ann,
    ):
        room_id = await ann.create_room("den")
        await ann.send_messages(room_id, "kept")
        with closing(sqlite3.connect(live)) as source:
            source.execute("VACUUM INTO ?", (str(backup),))
        await ann.send_messages(room_id, "lost")
        cursor = (await ann.execute(CURSOR, id=room_id))["room"]["streamCursor"]

    assert roomcast(backup, "after-restore").returncode == 0
    async with open_app(settings_for(f"sqlite:///{backup}", tmp_path)) as app, await sign_in_again(app, "ann") as ann:
        await ann.send_messages(room_id, "instead")  # it gets the seq of "lost"
        async with ann.connect() as connection:
            subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=cursor)
            [ready] = await subscription.wait_until_ready()
        nodes = (await ann.execute(CURSOR, id=room_id))["room"]["messages"]["nodes"]

    assert ready["recovered"] is False
    assert [node["body"] for node in nodes] == ["kept", "instead"]


async def test_the_commands_back_up_and_restore(tmp_path: Path) -> None:
    live, backup, other = tmp_path / "live" / "roomcast.db", tmp_path / "backup.tar", tmp_path / "other" / "roomcast.db"
    assert roomcast(live, "create-admin", "--username", "ann", "--password", PASSWORD).returncode == 0

    written = roomcast(live, "backup", str(backup))
    streamed = roomcast(live, "backup", "--no-keys", "-", text=False)
    again = roomcast(live, "backup", str(backup))
    restored = roomcast(other, "restore", str(backup))
    twice = roomcast(other, "restore", str(backup))

    assert (written.returncode, "accounts 1," in written.stderr) == (0, True), written.stderr
    assert (streamed.returncode, streamed.stdout[:13]) == (0, b"manifest.json")
    assert (again.returncode, again.stderr) == (2, f"{backup} exists already\n")
    assert (restored.returncode, "accounts 1," in restored.stderr) == (0, True), restored.stderr
    assert (twice.returncode, "--replace" in twice.stderr) == (2, True)


async def test_a_backup_of_a_missing_database_fails(tmp_path: Path) -> None:
    result = roomcast(tmp_path / "nothing.db", "backup", str(tmp_path / "copy.db"))

    assert (result.returncode, result.stdout) == (2, "")
    assert "could not be read" in result.stderr
