"""Passwords: hashed well, refused when anyone would try them, and taken over from elsewhere."""

import asyncio
import time

import bcrypt
import pytest
import pytest_asyncio
from sqlmodel import select

from roomcast.accounts.actions import Device, login
from roomcast.accounts.models import User
from roomcast.accounts.passwords import MAX_WAITING, MIN_LENGTH, Passwords, common_passwords
from roomcast.accounts.policy import AccountRules
from roomcast.core.errors import PasswordTooWeak, RateLimited
from tests.accounts.documents import TRY, codes
from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient, UserClient


@pytest_asyncio.fixture
async def passwords() -> Passwords:
    return Passwords()


async def verified(passwords: Passwords, password: str, stored: str | None) -> tuple[bool, str | None]:
    async with passwords.slot():
        return await passwords.verify(password, stored)


@pytest.mark.parametrize("password", [PASSWORD, "x" * 128, "пароль-密码-🔑", "nul\0inside", " spaces count "])
async def test_a_password_is_verified_as_it_was_given(passwords: Passwords, password: str) -> None:
    stored = await passwords.hash(password)
    assert stored.startswith("$argon2id$")
    assert await verified(passwords, password, stored) == (True, None)
    assert await verified(passwords, password + "x", stored) == (False, None)
    assert await verified(passwords, password.strip("x ") or "y", stored) == (password == password.strip("x "), None)


async def test_of_a_long_password_bcrypt_knew_the_beginning_and_we_know_all(passwords: Passwords) -> None:
    long = "пароль" * 15
    imported = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(5)).decode()
    good, newer = await verified(passwords, long, imported)
    assert good
    assert await verified(passwords, long, newer) == (True, None)
    assert await verified(passwords, long[:-1], newer) == (False, None)


async def test_nothing_is_the_password_of_nobody(passwords: Passwords) -> None:
    assert (await verified(passwords, PASSWORD, None))[0] is False
    assert (await verified(passwords, "x" * 100_000, None))[0] is False
    assert (await verified(passwords, PASSWORD, "a broken hash"))[0] is False


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(passwords: Passwords) -> None:
    stored, fastest = await passwords.hash(PASSWORD), []
    for hashed in (stored, None):
        times = []
        for _ in range(8):
            started = time.perf_counter()
            await verified(passwords, "a wrong guess", hashed)
            times.append(time.perf_counter() - started)
        fastest.append(min(times))
    assert 0.1 < fastest[0] / fastest[1] < 10  # without a hash of its own it would be a thousand times


@pytest.mark.parametrize(
    "weak",
    ["1234567", "x" * 129, "password", "PassWord", "12345678", "qwertyuiop", "Liverpool1", "p@ssw0rd", "LongUserName"],
)
async def test_what_anyone_would_try_is_refused(passwords: Passwords, weak: str) -> None:
    with pytest.raises(PasswordTooWeak):
        passwords.check(weak, username="longusername", path=("input", "password"))


def test_ten_thousand_passwords_are_known_to_be_common() -> None:
    assert len([password for password in common_passwords() if len(password) >= MIN_LENGTH]) > 10_000


async def test_the_queue_for_hashing_has_an_end(passwords: Passwords) -> None:
    passwords._waiting = MAX_WAITING
    with pytest.raises(RateLimited):
        await passwords.hash(PASSWORD)


async def test_a_weak_password_opens_no_account(anonymous: AnonymousClient) -> None:
    refused = await anonymous.mutate(SIGNUP, username="dora", password="iloveyou")
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("PASSWORD_TOO_WEAK", ["input", "password"])
    ]


async def test_a_bcrypt_hash_from_elsewhere_is_verified_and_upgraded(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    imported = bcrypt.hashpw(b"from the old house", bcrypt.gensalt(5)).decode()
    await store(ann, imported)
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password="not from there")) == [
        "INVALID_CREDENTIALS"
    ]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password="from the old house")) == []
    async with ann.app.roomcast.db.read() as session:
        user = (await session.exec(select(User))).one()
    assert user.password_hash.startswith("$argon2id$")
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password="from the old house")) == []


async def test_a_proof_of_a_password_that_has_changed_since_opens_nothing(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    imported = bcrypt.hashpw(b"from the old house", bcrypt.gensalt(5)).decode()
    await store(ann, imported)
    async with ann.app.roomcast.backend.credentials.verify_login("ann", "from the old house", None) as proof:
        pass
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password="from the old house")) == []
    async with ann.app.roomcast.db.work() as work:
        assert await login(work, proof, Device(), AccountRules()) is None


async def test_two_who_sign_in_while_the_hash_is_upgraded_both_get_in(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    await store(ann, bcrypt.hashpw(b"from the old house", bcrypt.gensalt(5)).decode())
    tries = [anonymous.mutate(TRY, usernameOrEmail="ann", password="from the old house") for _ in range(4)]
    assert [codes(answer) for answer in await asyncio.gather(*tries)] == [[]] * 4


async def store(person: UserClient, password_hash: str) -> None:
    async with person.app.roomcast.db.work() as work:
        user = (await work.session.exec(select(User).where(User.username == person.name))).one()
        user.password_hash = password_hash
