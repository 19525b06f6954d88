"""The first account of a server: in production it needs the setup token from the server's log."""

import logging

import pytest

from roomcast.settings import Profile
from tests.accounts.documents import codes
from tests.accounts.test_command_line import Run, run
from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient, Json
from tests.conftest import MakeApp
from tests.running_app import RunningApp

__all__ = ["run"]


def token(app: RunningApp) -> str:
    setup_token = app.roomcast.http._engine.backend.account_rules.setup_token
    assert setup_token is not None
    return setup_token


async def sign_up(anonymous: AnonymousClient, name: str, **more: str) -> Json:
    return await anonymous.mutate(SIGNUP, username=name, password=PASSWORD, **more)


async def test_in_production_the_first_account_needs_the_logged_setup_token(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "roomcast"):
        app = await make_app(profile=Profile.PRODUCTION, public_url="https://chat.example.org")
    assert caplog.text.count(token(app)) == 2
    assert f"https://chat.example.org/#setup={token(app)} " in caplog.text
    async with AnonymousClient(app) as anonymous:
        for wrong in ({}, {"setupToken": ""}, {"setupToken": "x" * 32}, {"setupToken": token(app)[:-1] + "é"}):
            [error] = (await sign_up(anonymous, "mallory", **wrong))["errors"]
            assert (error["code"], error["path"]) == ("FORBIDDEN", ["input", "setupToken"])
        assert (await sign_up(anonymous, "admin", setupToken=token(app)))["user"]["role"] == "ADMIN"
        assert (await sign_up(anonymous, "bob"))["user"]["role"] == "MEMBER"
        assert (await sign_up(anonymous, "cleo", setupToken=token(app)))["user"]["role"] == "MEMBER"
    caplog.clear()
    await make_app(profile=Profile.PRODUCTION)
    assert token(app) not in caplog.text


async def test_processes_of_one_database_share_a_setup_token(make_app: MakeApp, database_url: str) -> None:
    one, another = await make_app(profile=Profile.PRODUCTION), await make_app(profile=Profile.PRODUCTION)
    assert token(one) == token(another)
    assert len(token(one)) == 32
    assert (await make_app()).roomcast.http._engine.backend.account_rules.setup_token is None


async def test_create_admin_needs_no_setup_token(run: Run, make_app: MakeApp) -> None:
    result = await run("create-admin", "--username", "admin", "--password", PASSWORD)
    assert (result.exit_code, result.output) == (0, "admin is an administrator.\n")
    async with AnonymousClient(await make_app(profile=Profile.PRODUCTION)) as anonymous:
        assert (await sign_up(anonymous, "bob"))["user"]["role"] == "MEMBER"


async def test_no_setup_token_is_needed_if_the_first_user_is_no_administrator(make_app: MakeApp) -> None:
    async with AnonymousClient(await make_app(profile=Profile.PRODUCTION, first_user_is_admin=False)) as anonymous:
        assert (await sign_up(anonymous, "bob"))["user"]["role"] == "MEMBER"
        assert codes(await sign_up(anonymous, "admin")) == ["VALIDATION_FAILED"]


async def test_only_the_first_account_may_be_named_admin(app: RunningApp, anonymous: AnonymousClient) -> None:
    assert (await sign_up(anonymous, "Admin"))["user"]["role"] == "ADMIN"
    for name in ("admin", "adm1n", "moderator", "M0derator"):
        assert codes(await sign_up(anonymous, name)) in (["VALIDATION_FAILED"], ["USERNAME_TAKEN"])
