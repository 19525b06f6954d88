"""Renewing a session: a lost answer costs nothing, a stolen token costs the thief and the session, a new key nobody."""

import asyncio
import re

import pytest
import sqlalchemy as sa
from sqlmodel import select

from roomcast.accounts.models import RefreshToken, Session
from roomcast.core.clock import now
from tests.accounts.words import BAN, LOGOUT, ME, audited, codes
from tests.conftest import MakeHouse
from tests.house import SECRET, House
from tests.people import REFRESH, Json, Person, Visitor, arrive

NEW_SECRET = "another secret for tests that is long enough to sign"


async def renew(visitor: Visitor, refresh_token: str) -> Json:
    return await visitor.do(REFRESH, refreshToken=refresh_token)


async def successor(visitor: Visitor, refresh_token: str) -> str:
    payload = await renew(visitor, refresh_token)
    assert payload["errors"] == []
    return str(payload["tokens"]["refreshToken"])


async def test_a_session_is_renewed_and_stays_the_same(ann: Person, visitor: Visitor) -> None:
    payload = await renew(visitor, ann.refresh_token)
    assert payload["user"]["id"] == ann.id
    assert payload["session"]["current"] is True
    assert payload["tokens"]["refreshToken"] != ann.refresh_token
    async with Visitor(ann.house, payload["tokens"]["accessToken"]) as renewed:
        assert (await renewed.ask(ME))["me"]["role"] == "ADMIN"
        await renewed.ask(LOGOUT)
    assert await ann.codes(ME) == ["UNAUTHENTICATED"]


async def test_a_lost_answer_locks_nobody_out(ann: Person, visitor: Visitor) -> None:
    lost = await successor(visitor, ann.refresh_token)
    for _ in range(3):
        assert await successor(visitor, ann.refresh_token) == lost
    assert await successor(visitor, await successor(visitor, lost)) != lost


async def test_tabs_that_renew_at_once_all_stay_signed_in(ann: Person, visitor: Visitor) -> None:
    for _ in range(2):
        after = {*await asyncio.gather(*(successor(visitor, ann.refresh_token) for _ in range(10)))}
        assert len(after) == 1
        [ann.refresh_token] = after


async def test_a_spent_token_ends_its_session_for_thief_and_owner(ann: Person, visitor: Visitor) -> None:
    second = await successor(visitor, ann.refresh_token)
    third = await successor(visitor, second)
    async with ann.socket() as wire:
        assert codes(await renew(visitor, ann.refresh_token)) == ["REFRESH_TOKEN_REUSED"]
        assert (await wire.closed())[0] == 4401
    for token in (ann.refresh_token, second, third):
        assert codes(await renew(visitor, token)) == ["SESSION_REVOKED"]
    assert await ann.codes(ME) == ["UNAUTHENTICATED"]
    assert [entry[:2] for entry in await audited(ann.house)] == [("REFRESH_TOKEN_REUSED", ann.id)]


async def test_a_spent_token_ends_no_other_session(ann: Person, bob: Person, visitor: Visitor) -> None:
    await successor(visitor, await successor(visitor, ann.refresh_token))
    assert codes(await renew(visitor, ann.refresh_token)) == ["REFRESH_TOKEN_REUSED"]
    assert (await bob.ask(ME))["me"]["role"] == "MEMBER"
    await successor(visitor, bob.refresh_token)


@pytest.mark.parametrize("spoil", ["", "x", "{id}", "{id}.", "{id}.00", "00{secret}", "{id}.{secret}x", "\0.\0"])
async def test_a_token_that_is_not_quite_right_does_nothing(ann: Person, visitor: Visitor, spoil: str) -> None:
    identity, _, secret = ann.refresh_token.partition(".")
    assert codes(await renew(visitor, spoil.format(id=identity, secret=secret))) == ["INVALID_CREDENTIALS"]
    await successor(visitor, ann.refresh_token)


async def test_a_token_that_has_expired_renews_nothing(ann: Person, visitor: Visitor) -> None:
    async with ann.house.inside.db.work() as work:
        await work.session.exec(sa.update(RefreshToken).values(expires_at=now()))
    assert codes(await renew(visitor, ann.refresh_token)) == ["SESSION_REVOKED"]


async def test_a_session_that_has_expired_is_over(ann: Person, visitor: Visitor) -> None:
    async with ann.house.inside.db.work() as work:
        await work.session.exec(sa.update(Session).values(expires_at=now()))
    assert await ann.codes(ME) == ["UNAUTHENTICATED"]
    assert codes(await renew(visitor, ann.refresh_token)) == ["SESSION_REVOKED"]


async def test_the_banned_renew_nothing(ann: Person, bob: Person, visitor: Visitor) -> None:
    await ann.do(BAN, userId=bob.id)
    assert codes(await renew(visitor, bob.refresh_token)) == ["BANNED"]


async def test_only_hashes_of_secrets_are_kept(ann: Person) -> None:
    _, _, secret = ann.refresh_token.partition(".")
    async with ann.house.inside.db.read() as session:
        [kept] = (await session.exec(select(RefreshToken.secret_hash))).all()
    assert re.fullmatch("[0-9a-f]{64}", kept)
    assert kept != secret


async def test_a_new_signing_key_signs_nobody_out(make_house: MakeHouse) -> None:
    before = await make_house()
    after = await make_house(secret_key=f"{NEW_SECRET},{SECRET}")
    async with await arrive(before, "ann") as ann, Visitor(after) as door, Visitor(after, ann.token) as moved:
        assert (await moved.ask(ME))["me"]["user"]["username"] == "ann"
        handed_out = await successor(ann, ann.refresh_token)
        assert await successor(door, ann.refresh_token) == handed_out
        await successor(door, handed_out)


async def test_a_dropped_key_ends_access_tokens_and_no_session(make_house: MakeHouse) -> None:
    before, after = await make_house(), await make_house(secret_key=NEW_SECRET)
    async with await arrive(before, "ann") as ann, Visitor(after) as door, Visitor(after, ann.token) as moved:
        assert await moved.codes(ME) == ["UNAUTHENTICATED"]
        lost = await successor(ann, ann.refresh_token)
        found = await successor(door, ann.refresh_token)
        assert found != lost
        await successor(door, found)


async def test_a_token_of_another_kind_opens_nothing(house: House, ann: Person) -> None:
    async with Visitor(house, ann.refresh_token) as confused:
        assert await confused.codes(ME) == ["UNAUTHENTICATED"]
