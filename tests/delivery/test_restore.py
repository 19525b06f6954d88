"""A backup taken during sends and restored: clients that got more than it holds are told to start again."""

import os
import subprocess
import sys
from pathlib import Path

from tests.api_clients import LOGIN, PASSWORD, ROOM_EVENTS, AnonymousClient, UserClient, sign_up
from tests.process import SERVE
from tests.running_app import RunningApp, open_app, settings_for

CURSOR = "query Cursor($id: ID!) { room(id: $id) { streamCursor messages { nodes { body } } } }"


def roomcast(database: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The operator's command, on this database."""
    settings = {"ROOMCAST_DATABASE_URL": f"sqlite:///{database}", "ROOMCAST_DATA_DIR": str(database.parent)}
    command = [sys.executable, "-c", SERVE, *words]
    return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=60)


async def returned(app: RunningApp, name: str) -> UserClient:
    async with AnonymousClient(app) as anonymous:
        return UserClient(app, name, await anonymous.mutate(LOGIN, usernameOrEmail=name, password=PASSWORD))


async def test_after_a_restore_no_stream_claims_to_be_complete(tmp_path: Path) -> None:
    live, kept = tmp_path / "live.db", tmp_path / "kept.db"
    async with (
        open_app(settings_for(f"sqlite:///{live}", tmp_path, migrate_on_start=True)) as app,
        await sign_up(app, "ann") as ann,
    ):
        room_id = await ann.create_room("den")
        await ann.send_messages(room_id, "kept")
        assert roomcast(live, "backup", str(kept)).returncode == 0
        await ann.send_messages(room_id, "lost")
        cursor = (await ann.execute(CURSOR, id=room_id))["room"]["streamCursor"]

    assert roomcast(kept, "after-restore").returncode == 0
    async with open_app(settings_for(f"sqlite:///{kept}", tmp_path)) as app, await returned(app, "ann") as back:
        await back.send_messages(room_id, "instead")  # where "lost" was
        async with back.connect() as connection:
            subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id, after=cursor)
            [ready] = await subscription.wait_until_ready()
        nodes = (await back.execute(CURSOR, id=room_id))["room"]["messages"]["nodes"]

    assert ready["recovered"] is False
    assert [node["body"] for node in nodes] == ["kept", "instead"]


async def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("precious")

    refused = roomcast(tmp_path / "live.db", "backup", str(there))

    assert (refused.returncode, refused.stderr) == (2, f"{there} exists already\n")
    assert there.read_text() == "precious"


async def test_a_backup_of_an_empty_database_says_so(tmp_path: Path) -> None:
    refused = roomcast(tmp_path / "nothing.db", "backup", str(tmp_path / "copy.db"))

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "unable to open database file" in refused.stderr
