"""The account commands of the command line: create an administrator, and reset a password."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from roomcast.operator_commands import app as cli
from tests.accounts.documents import A_SECOND, ME, TRY, audited, codes, sign_in, within
from tests.api_clients import PASSWORD, REFRESH, ROOM_EVENTS, AnonymousClient, UserClient
from tests.running_app import SECRET, RunningApp

NEW = "the operator's choice"


Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the database of the test, which a server may be using."""
    monkeypatch.chdir(tmp_path)  # a folder without the .env of a developer
    settings = {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path), "SECRET_KEY": SECRET}
    runner = CliRunner(env={f"ROOMCAST_{name}": value for name, value in settings.items()})

    async def command(*words: str) -> Result:
        return await asyncio.to_thread(runner.invoke, cli, list(words))

    return command


async def test_create_admin_creates_an_administrator(run: Run, app: RunningApp, anonymous: AnonymousClient) -> None:
    async with anonymous:
        result = await run("create-admin", "--username", "dora", "--password", PASSWORD, "--email", "dora@example.org")
        assert (result.exit_code, result.output) == (0, "dora is an administrator.\n")
        async with await sign_in(anonymous, "dora@example.org") as dora:
            assert (await dora.execute(ME))["me"] == {"role": "ADMIN", "user": {"username": "dora"}}


@pytest.mark.parametrize(
    ("username", "password", "code"),
    [("bob", PASSWORD, "USERNAME_TAKEN"), ("d", PASSWORD, "VALIDATION_FAILED"), ("dora", "1234", "PASSWORD_TOO_WEAK")],
)
async def test_create_admin_reports_why_it_was_refused(
    run: Run, bob: UserClient, username: str, password: str, code: str
) -> None:
    result = await run("create-admin", "--username", username, "--password", password)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{code}: ")


async def test_a_reset_password_ends_every_session_of_a_running_server(
    run: Run, ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await ann.create_room("den")
    async with bob.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        result = await run("reset-password", "Bob", "--password", NEW)
        assert (result.exit_code, result.output) == (0, "Bob has a new password and is signed out everywhere.\n")
        with within(A_SECOND):
            assert (await events.next_event())["reason"] == "SESSION_REVOKED"
            assert (await connection.closed())[0] == 4401
    assert await bob.error_codes(ME) == ["UNAUTHENTICATED"]
    assert codes(await anonymous.mutate(REFRESH, refreshToken=bob.refresh_token)) == ["SESSION_REVOKED"]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password=PASSWORD)) == ["INVALID_CREDENTIALS"]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password=NEW)) == []
    assert await audited(ann.app) == [("PASSWORD_RESET", bob.id, "from the command line")]
    assert (await ann.execute(ME))["me"]["role"] == "ADMIN"


async def test_reset_password_refuses_a_weak_password_and_an_unknown_user(run: Run, bob: UserClient) -> None:
    weak = await run("reset-password", "bob", "--password", "password")
    assert (weak.exit_code, weak.stderr.split(":")[0]) == (1, "PASSWORD_TOO_WEAK")
    unknown = await run("reset-password", "dora", "--password", NEW)
    assert (unknown.exit_code, unknown.stderr.split(":")[0]) == (1, "NOT_FOUND")
    assert (await bob.execute(ME))["me"]["user"]["username"] == "bob"
