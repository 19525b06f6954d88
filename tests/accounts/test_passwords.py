"""Passwords: hashing, checks against weak and common ones, and hashes imported from other systems."""

import asyncio
import platform
import subprocess
import sys
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
from tests.servers import skip


@pytest_asyncio.fixture
async def passwords() -> Passwords:
    return Passwords()


async def verified(passwords: Passwords, password: str, stored: str | None) -> tuple[bool, str | None]:
    async with passwords.slot():
        return await passwords.verify(password, stored)


@pytest.mark.parametrize("password", [PASSWORD, "x" * 128, "пароль-密码-🔑", "nul\0inside", " spaces count "])
async def test_a_password_is_verified_unchanged(passwords: Passwords, password: str) -> None:
    stored = await passwords.hash(password)
    assert stored.startswith("$argon2id$")
    assert await verified(passwords, password, stored) == (True, None)
    assert await verified(passwords, password + "x", stored) == (False, None)
    assert await verified(passwords, password.strip("x ") or "y", stored) == (password == password.strip("x "), None)


async def test_a_bcrypt_hash_of_a_long_password_is_upgraded_to_cover_all_of_it(passwords: Passwords) -> None:
    long = "пароль" * 15
    imported = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(5)).decode()
    good, newer = await verified(passwords, long, imported)
    assert good
    assert await verified(passwords, long, newer) == (True, None)
    assert await verified(passwords, long[:-1], newer) == (False, None)


async def test_no_password_matches_a_missing_or_broken_hash(passwords: Passwords) -> None:
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
    # Without a hash to verify for unknown names, the ratio would be a thousand.
    assert 0.1 < fastest[0] / fastest[1] < 10


@pytest.mark.parametrize(
    "weak",
    ["1234567", "x" * 129, "password", "PassWord", "12345678", "qwertyuiop", "Liverpool1", "p@ssw0rd", "LongUserName"],
)
async def test_a_weak_or_common_password_is_refused(passwords: Passwords, weak: str) -> None:
    with pytest.raises(PasswordTooWeak):
        passwords.check(weak, username="longusername", path=("input", "password"))


def test_the_list_of_common_passwords_has_ten_thousand_entries() -> None:
    assert len([password for password in common_passwords() if len(password) >= MIN_LENGTH]) > 10_000


async def test_the_hashing_queue_is_bounded(passwords: Passwords) -> None:
    passwords._waiting = MAX_WAITING
    with pytest.raises(RateLimited):
        await passwords.hash(PASSWORD)


async def test_signup_refuses_a_weak_password(anonymous: AnonymousClient) -> None:
    refused = await anonymous.mutate(SIGNUP, username="dora", password="iloveyou")
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("PASSWORD_TOO_WEAK", ["input", "password"])
    ]


async def test_an_imported_bcrypt_hash_is_verified_and_upgraded(ann: UserClient, anonymous: AnonymousClient) -> None:
    imported = bcrypt.hashpw(b"from the old system", bcrypt.gensalt(5)).decode()
    await store(ann, imported)
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password="not the old one")) == [
        "INVALID_CREDENTIALS"
    ]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password="from the old system")) == []
    async with ann.app.roomcast.db.read() as session:
        user = (await session.exec(select(User))).one()
    assert user.password_hash.startswith("$argon2id$")
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password="from the old system")) == []


async def test_a_verified_login_is_refused_if_the_hash_has_changed_since(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    imported = bcrypt.hashpw(b"from the old system", bcrypt.gensalt(5)).decode()
    await store(ann, imported)
    async with ann.app.roomcast.backend.credentials.verify_login("ann", "from the old system", None) as verified_login:
        pass
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password="from the old system")) == []
    async with ann.app.roomcast.db.work() as work:
        assert await login(work, verified_login, Device(), AccountRules()) is None


async def test_concurrent_sign_ins_succeed_while_the_hash_is_upgraded(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    await store(ann, bcrypt.hashpw(b"from the old system", bcrypt.gensalt(5)).decode())
    attempts = [anonymous.mutate(TRY, usernameOrEmail="ann", password="from the old system") for _ in range(4)]
    assert [codes(payload) for payload in await asyncio.gather(*attempts)] == [[]] * 4


async def store(person: UserClient, password_hash: str) -> None:
    async with person.app.roomcast.db.work() as work:
        user = (await work.session.exec(select(User).where(User.username == person.name))).one()
        user.password_hash = password_hash


# ------------------------------------------------------------------ a system that forbids lower priorities

SYSTEM_CALL = {"x86_64": 141, "aarch64": 140}
"""The number of setpriority in the kernel, by machine."""

SIGN_IN_WITHOUT_SETPRIORITY = """
import asyncio, ctypes, errno, logging, struct, sys
from roomcast.accounts.passwords import Passwords

def forbid(number):
    \"\"\"Install a seccomp filter: this system call fails with EPERM.\"\"\"
    load, jump_if_equal, answer = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS; BPF_JMP | BPF_JEQ; BPF_RET
    fail, allow = 0x00050000 | errno.EPERM, 0x7FFF0000  # SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW
    steps = [(load, 0, 0, 0), (jump_if_equal, 0, 1, number), (answer, 0, 0, fail), (answer, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, program, 0, 0):  # PR_SET_NO_NEW_PRIVS; PR_SET_SECCOMP, filter
        sys.exit(77)

async def sign_in():
    passwords = Passwords(memory_kib=8, passes=1)
    stored = await passwords.hash("a good long pass phrase")
    async with passwords.slot():
        print(await passwords.verify("a good long pass phrase", stored))

logging.basicConfig()
forbid(int(sys.argv[1]))
asyncio.run(sign_in())
"""


def test_sign_ins_work_where_a_seccomp_filter_forbids_lower_priorities() -> None:
    number = SYSTEM_CALL.get(platform.machine()) if sys.platform == "linux" else None
    if number is None:
        pytest.skip("needs Linux on x86_64 or aarch64")
    command = [sys.executable, "-c", SIGN_IN_WITHOUT_SETPRIORITY, str(number)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if ended.returncode == 77:
        skip("this system allows no seccomp filters")
    assert ended.stdout == "(True, None)\n", ended.stderr
    assert ended.stderr.count("allow the system call setpriority") == 1
