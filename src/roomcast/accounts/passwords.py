"""Passwords: argon2id, hashed beside the event loop by a thread that yields to it; foreign bcrypt hashes verify and
upgrade."""

import asyncio
import gzip
import os
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import TypeVar

from passlib.context import CryptContext

from roomcast.core.errors import PasswordTooWeak, RateLimited

Result = TypeVar("Result")

MAX_CONCURRENT = 1
"""Each hash holds 19 MiB and a core for some 20 ms: a second one would take the loop's share of a single core."""

MAX_WAITING = 500
"""Who may wait for a turn: the last of them has theirs before an operation has taken too long."""

NICENESS = 19
"""On a core that it shares with the loop, the loop gets what it asks for: beside two hundred sign-ins others wait 1.4
times as long as alone (5: 1.9 times, 10: 1.6, 15: 1.5). A core that is free does not care."""

MIN_LENGTH, MAX_LENGTH = 8, 128


@cache
def common_passwords() -> frozenset[str]:
    """What anyone would try first, in lower case."""
    packed = files("roomcast.accounts").joinpath("common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().splitlines())


class Passwords:
    def __init__(self, memory_kib: int = 19_456, passes: int = 2) -> None:
        """What a hash costs; OWASP's minimum for argon2id, with one lane, unless somebody knows better."""
        self._context = CryptContext(
            schemes=["argon2", "bcrypt"],
            deprecated=["bcrypt"],
            argon2__memory_cost=memory_kib,
            argon2__time_cost=passes,
            argon2__parallelism=1,
        )
        self._dummy_hash = self._context.hash(secrets.token_hex())
        self._slots, self._waiting = asyncio.Semaphore(MAX_CONCURRENT), 0
        self._pool = ThreadPoolExecutor(MAX_CONCURRENT, "password", initializer=_lower_priority)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def check(self, password: str, *, username: str, path: tuple[str, ...]) -> None:
        """Raises PasswordTooWeak for what is too short, too long, commonly used, or the person's own name."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise PasswordTooWeak(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters", path=path)
        if password.casefold() in common_passwords() or password.casefold() == username.casefold():
            raise PasswordTooWeak("this password is among the first that anyone would try", path=path)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A place among those that hash now. Raises RateLimited when too many are waiting for one."""
        if self._waiting >= MAX_WAITING:
            raise RateLimited("too many people are signing in at this moment", retry_after_ms=5_000)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def hash(self, password: str) -> str:
        """Takes a turn of its own."""
        async with self.slot():
            return await self._run_in_thread(lambda: self._context.hash(password))

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether it is the password, and a newer hash to store where the old one is outdated. Call it in a `turn`.

        `stored` is None for an unknown person: it takes as long and answers False.
        """
        if len(password) > MAX_LENGTH:
            stored = None
        good, newer = await self._run_in_thread(
            lambda: self._verify(password[:MAX_LENGTH], self._dummy_hash if stored is None else stored)
        )
        return good and stored is not None, newer

    def _verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        try:
            # Whoever made a bcrypt hash of more than 72 bytes took the first 72; our library refuses to.
            known = password.encode()[:72] if stored.startswith("$2") else password
            good = bool(self._context.verify(known, stored))
        except ValueError:  # a broken hash matches nothing
            return False, None
        return good, self._context.hash(password) if good and self._context.needs_update(stored) else None

    async def _run_in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _lower_priority() -> None:
    """This thread's work is heavy and nobody's answer but its own depends on it: the loop goes first."""
    if sys.platform == "linux":  # where niceness belongs to a thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
