"""Renewing a session: repeated renewals, reused refresh tokens, and changes of the signing key."""

import asyncio
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import select

from roomcast.accounts.models import RefreshToken, Session
from roomcast.core.clock import now
from tests.accounts.documents import BAN, CHANGE_PASSWORD, LOGOUT, ME, audited, codes
from tests.api_clients import PASSWORD, REFRESH, AnonymousClient, Json, UserClient, sign_up
from tests.conftest import MakeApp
from tests.running_app import SECRET, RunningApp

NEW_SECRET = "another secret for tests that is long enough to sign"


async def renew(anonymous: AnonymousClient, refresh_token: str) -> Json:
    return await anonymous.mutate(REFRESH, refreshToken=refresh_token)


async def successor(anonymous: AnonymousClient, refresh_token: str) -> str:
    payload = await renew(anonymous, refresh_token)
    assert payload["errors"] == []
    return str(payload["tokens"]["refreshToken"])


async def test_a_renewed_session_is_the_same_session(ann: UserClient, anonymous: AnonymousClient) -> None:
    payload = await renew(anonymous, ann.refresh_token)
    assert payload["user"]["id"] == ann.id
    assert payload["session"]["current"] is True
    assert payload["tokens"]["refreshToken"] != ann.refresh_token
    async with AnonymousClient(ann.app, payload["tokens"]["accessToken"]) as renewed:
        assert (await renewed.execute(ME))["me"]["role"] == "ADMIN"
        await renewed.execute(LOGOUT)
    assert await ann.error_codes(ME) == ["UNAUTHENTICATED"]


async def test_a_renewal_can_be_repeated_after_a_lost_response(ann: UserClient, anonymous: AnonymousClient) -> None:
    lost = await successor(anonymous, ann.refresh_token)
    for _ in range(3):
        assert await successor(anonymous, ann.refresh_token) == lost
    assert await successor(anonymous, await successor(anonymous, lost)) != lost


async def test_concurrent_renewals_get_the_same_token(ann: UserClient, anonymous: AnonymousClient) -> None:
    for _ in range(2):
        after = {*await asyncio.gather(*(successor(anonymous, ann.refresh_token) for _ in range(10)))}
        assert len(after) == 1
        [ann.refresh_token] = after


async def test_a_reused_refresh_token_ends_its_session(ann: UserClient, anonymous: AnonymousClient) -> None:
    second = await successor(anonymous, ann.refresh_token)
    third = await successor(anonymous, second)
    async with ann.connect() as connection:
        assert codes(await renew(anonymous, ann.refresh_token)) == ["REFRESH_TOKEN_REUSED"]
        assert (await connection.closed())[0] == 4401
    for token in (ann.refresh_token, second, third):
        assert codes(await renew(anonymous, token)) == ["SESSION_REVOKED"]
    assert await ann.error_codes(ME) == ["UNAUTHENTICATED"]
    assert [entry[:2] for entry in await audited(ann.app)] == [("REFRESH_TOKEN_REUSED", ann.id)]


async def test_a_reused_refresh_token_ends_no_other_session(
    ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    await successor(anonymous, await successor(anonymous, ann.refresh_token))
    assert codes(await renew(anonymous, ann.refresh_token)) == ["REFRESH_TOKEN_REUSED"]
    assert (await bob.execute(ME))["me"]["role"] == "MEMBER"
    await successor(anonymous, bob.refresh_token)


@pytest.mark.parametrize("template", ["", "x", "{id}", "{id}.", "{id}.00", "00{secret}", "{id}.{secret}x", "\0.\0"])
async def test_a_malformed_refresh_token_is_refused_without_effect(
    ann: UserClient, anonymous: AnonymousClient, template: str
) -> None:
    identity, _, secret = ann.refresh_token.partition(".")
    assert codes(await renew(anonymous, template.format(id=identity, secret=secret))) == ["INVALID_CREDENTIALS"]
    await successor(anonymous, ann.refresh_token)


async def test_an_expired_refresh_token_is_refused(ann: UserClient, anonymous: AnonymousClient) -> None:
    async with ann.app.roomcast.db.work() as work:
        await work.session.exec(sa.update(RefreshToken).values(expires_at=now()))
    assert codes(await renew(anonymous, ann.refresh_token)) == ["SESSION_REVOKED"]


async def test_an_expired_session_cannot_be_renewed_or_used(ann: UserClient, anonymous: AnonymousClient) -> None:
    async with ann.app.roomcast.db.work() as work:
        await work.session.exec(sa.update(Session).values(expires_at=now()))
    assert await ann.error_codes(ME) == ["UNAUTHENTICATED"]
    assert codes(await renew(anonymous, ann.refresh_token)) == ["SESSION_REVOKED"]


async def test_a_banned_user_cannot_renew_a_session(
    ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    await ann.mutate(BAN, userId=bob.id)
    assert codes(await renew(anonymous, bob.refresh_token)) == ["BANNED"]


async def test_only_hashes_of_secrets_are_kept(ann: UserClient) -> None:
    _, _, secret = ann.refresh_token.partition(".")
    async with ann.app.roomcast.db.read() as session:
        [kept] = (await session.exec(select(RefreshToken.secret_hash))).all()
    assert re.fullmatch("[0-9a-f]{64}", kept)
    assert kept != secret


async def test_a_new_signing_key_ends_no_session(make_app: MakeApp) -> None:
    before = await make_app()
    after = await make_app(secret_key=f"{NEW_SECRET},{SECRET}")
    async with (
        await sign_up(before, "ann") as ann,
        AnonymousClient(after) as client,
        AnonymousClient(after, ann.token) as moved,
    ):
        assert (await moved.execute(ME))["me"]["user"]["username"] == "ann"
        handed_out = await successor(ann, ann.refresh_token)
        assert await successor(client, ann.refresh_token) == handed_out
        await successor(client, handed_out)


async def test_a_dropped_key_ends_access_tokens_and_no_session(make_app: MakeApp) -> None:
    before, after = await make_app(), await make_app(secret_key=NEW_SECRET)
    async with (
        await sign_up(before, "ann") as ann,
        AnonymousClient(after) as client,
        AnonymousClient(after, ann.token) as moved,
    ):
        assert await moved.error_codes(ME) == ["UNAUTHENTICATED"]
        lost = await successor(ann, ann.refresh_token)
        found = await successor(client, ann.refresh_token)
        assert found != lost
        await successor(client, found)


async def test_a_refresh_token_is_not_accepted_as_an_access_token(app: RunningApp, ann: UserClient) -> None:
    async with AnonymousClient(app, ann.refresh_token) as client:
        assert await client.error_codes(ME) == ["UNAUTHENTICATED"]


# ------------------------------------------------------------------ stolen tokens

CHANGE = CHANGE_PASSWORD.replace(
    "retryAfterMs }", "retryAfterMs } viewer { user { username } } tokens { accessToken refreshToken }"
)
NEW_PASSWORD = "quite another one"


async def age_refresh_tokens(app: RunningApp) -> None:
    """Make all refresh tokens three minutes older, so that a repeated renewal is not a retry any more."""
    async with app.roomcast.db.work() as work:
        for token in await work.session.exec(select(RefreshToken)):
            token.created_at -= timedelta(minutes=3)


async def test_a_second_renewal_after_the_retry_window_reveals_a_copied_token(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    thief_token = await successor(anonymous, ann.refresh_token)
    await age_refresh_tokens(ann.app)
    owner_token = await successor(anonymous, ann.refresh_token)
    assert owner_token != thief_token
    assert codes(await renew(anonymous, thief_token)) == ["REFRESH_TOKEN_REUSED"]
    for token in (ann.refresh_token, owner_token, thief_token):
        assert codes(await renew(anonymous, token)) == ["SESSION_REVOKED"]
    assert await ann.error_codes(ME) == ["UNAUTHENTICATED"]
    assert [entry[:2] for entry in await audited(ann.app)] == [("REFRESH_TOKEN_REUSED", ann.id)]


async def test_the_owners_renewal_after_a_thief_renewed_twice_ends_the_session(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    await successor(anonymous, await successor(anonymous, ann.refresh_token))
    await age_refresh_tokens(ann.app)
    assert codes(await renew(anonymous, ann.refresh_token)) == ["REFRESH_TOKEN_REUSED"]


async def test_a_renewal_can_be_repeated_long_after_lost_responses(ann: UserClient, anonymous: AnonymousClient) -> None:
    seen = set()
    for _ in range(3):
        seen.add(await successor(anonymous, ann.refresh_token))
        await age_refresh_tokens(ann.app)
    assert len(seen) == 3
    latest = {await successor(anonymous, ann.refresh_token) for _ in range(2)}
    assert len(latest) == 1
    await successor(anonymous, await successor(anonymous, latest.pop()))


async def test_concurrent_late_renewals_get_the_same_token(ann: UserClient, anonymous: AnonymousClient) -> None:
    await successor(anonymous, ann.refresh_token)
    await age_refresh_tokens(ann.app)
    after = {*await asyncio.gather(*(successor(anonymous, ann.refresh_token) for _ in range(5)))}
    assert len(after) == 1
    await successor(anonymous, after.pop())


async def test_a_password_change_invalidates_copied_refresh_tokens(ann: UserClient, anonymous: AnonymousClient) -> None:
    unused = await successor(anonymous, ann.refresh_token)
    changed = await ann.mutate(CHANGE, currentPassword=PASSWORD, newPassword=NEW_PASSWORD)
    assert changed["errors"] == []
    assert changed["viewer"] == {"user": {"username": "ann"}}
    for stolen in (ann.refresh_token, unused):
        assert codes(await renew(anonymous, stolen)) == ["INVALID_CREDENTIALS"]
    async with AnonymousClient(ann.app, changed["tokens"]["accessToken"]) as same:
        assert (await same.execute(ME))["me"]["user"]["username"] == "ann"
    assert (await ann.execute(ME))["me"]["user"]["username"] == "ann"
    await successor(anonymous, await successor(anonymous, changed["tokens"]["refreshToken"]))


async def test_renewals_concurrent_with_a_password_change_leave_no_valid_token(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    changing = ann.mutate(CHANGE, currentPassword=PASSWORD, newPassword=NEW_PASSWORD)
    changed, *renewed = await asyncio.gather(changing, *(renew(anonymous, ann.refresh_token) for _ in range(10)))
    stolen = {payload["tokens"]["refreshToken"] for payload in renewed if not payload["errors"]}
    for token in (ann.refresh_token, *stolen):
        assert codes(await renew(anonymous, token)) == ["INVALID_CREDENTIALS"]
    await successor(anonymous, changed["tokens"]["refreshToken"])


async def test_a_session_has_a_maximal_age(make_app: MakeApp) -> None:
    app = await make_app(session_days=40)
    async with await sign_up(app, "ann") as ann, AnonymousClient(app) as anonymous:
        await age_sessions(app, days=39)
        token = await successor(anonymous, ann.refresh_token)
        async with app.roomcast.db.read() as session:
            [left] = [row.expires_at - now() for row in await session.exec(select(Session))]
        assert timedelta(hours=23) < left <= timedelta(days=1)
        await age_sessions(app, days=2)
        assert codes(await renew(anonymous, token)) == ["SESSION_REVOKED"]


async def age_sessions(app: RunningApp, days: int) -> None:
    """Make all sessions older by this number of days."""
    async with app.roomcast.db.work() as work:
        for session in await work.session.exec(select(Session)):
            session.created_at -= timedelta(days=days)
