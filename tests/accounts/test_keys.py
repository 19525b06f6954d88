"""Secrets: each purpose has its own derived key, and the server's files are readable by their owner only."""

import hashlib
import os
import stat
from pathlib import Path

import jwt
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.exc import DBAPIError

from roomcast.accounts.tokens import Tokens
from roomcast.core.direct_queries import fetch
from roomcast.core.errors import Unauthenticated
from roomcast.core.ids import uuid7
from roomcast.core.keys import derive_key
from tests.accounts.documents import ME
from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient
from tests.process import Process
from tests.running_app import SECRET, RunningApp

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.mark.parametrize("purpose", ["access tokens", "refresh tokens", "links"])
def test_each_purpose_has_a_key_of_its_own(purpose: str) -> None:
    hkdf = HKDF(SHA256(), 32, b"roomcast", purpose.encode())
    assert derive_key(OLD, purpose) == hkdf.derive(OLD)
    assert derive_key(OLD, purpose) != derive_key(OLD, "another")


def test_the_key_of_links_does_not_sign_access_tokens() -> None:
    tokens, forged = Tokens([OLD], 900), Tokens([derive_key(OLD, "links")], 900)
    with pytest.raises(Unauthenticated):
        tokens.verify(forged.issue_access_token(uuid7(), uuid7())[0])


def test_access_tokens_signed_with_an_old_secret_are_accepted() -> None:
    user, session = uuid7(), uuid7()
    rotated = Tokens([NEW, OLD], 900)
    token = Tokens([OLD], 900).issue_access_token(user, session)[0]
    claims = rotated.verify(token)
    assert (claims.user_id, claims.session_id) == (user, session)
    assert (
        jwt.get_unverified_header(rotated.issue_access_token(user, session)[0])["kid"]
        != jwt.get_unverified_header(token)["kid"]
    )


async def test_an_access_token_of_the_previous_release_is_accepted(app: RunningApp, anonymous: AnonymousClient) -> None:
    """The previous release signed with the secret itself instead of a derived key."""
    signed_in = await anonymous.mutate(SIGNUP, username="ann", password=PASSWORD)
    claims = jwt.decode(signed_in["tokens"]["accessToken"], options={"verify_signature": False})
    header = {"kid": hashlib.sha256(SECRET.encode()).hexdigest()[:8], "typ": "at+jwt"}
    async with AnonymousClient(app, jwt.encode(claims, SECRET, "HS256", headers=header)) as ann:
        assert (await ann.execute(ME))["me"]["user"]["username"] == "ann"


async def test_a_database_error_contains_no_parameter_values(app: RunningApp) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with app.roomcast.db.work() as work:
            await fetch(work.session, sa.text("SELECT :secret FROM nowhere").bindparams(secret="hidden words"))
    assert "hidden words" not in str(failed.value)


async def test_the_servers_files_are_readable_by_their_owner_only_with_any_umask(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        server = Process("", tmp_path, secret_key="")
        await server.start()
    finally:
        os.umask(umask)
    try:
        async with AnonymousClient(server.app) as anonymous:
            await anonymous.mutate(SIGNUP, username="ann", password=PASSWORD)
        paths = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
        names = {path.name for path in paths}
        assert {"roomcast.db", "roomcast.db-wal", "roomcast.db-shm", "secret.key", "incoming"} <= names
        assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    finally:
        await server.stop()
