"""Passwords: argon2id, hashed off the event loop behind a small semaphore; foreign bcrypt hashes verify and upgrade."""

import asyncio
from collections.abc import Callable
from importlib.resources import files
from typing import TypeVar

from passlib.context import CryptContext

from roomcast.core.errors import PasswordTooWeak

Answer = TypeVar("Answer")

AT_ONCE = 2
"""Each hash holds 19 MiB and a core for some 25 ms: more at once would starve the loop of its core."""

MIN_LENGTH, MAX_LENGTH = 8, 128


class Passwords:
    def __init__(self) -> None:
        # OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
        self._context = CryptContext(
            schemes=["argon2", "bcrypt"],
            deprecated=["bcrypt"],
            argon2__memory_cost=19_456,
            argon2__time_cost=2,
            argon2__parallelism=1,
        )
        self._turn = asyncio.Semaphore(AT_ONCE)
        listed = files("roomcast.accounts").joinpath("common_passwords.txt").read_text("utf-8")
        self._common = frozenset(line for line in listed.splitlines() if line)

    def check(self, password: str, *, username: str, path: tuple[str, ...]) -> None:
        """Raises PasswordTooWeak for what is too short, too long, commonly used, or the person's own name."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise PasswordTooWeak(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters", path=path)
        if password.casefold() in self._common or password.casefold() == username.casefold():
            raise PasswordTooWeak("this password is among the first that anyone would try", path=path)

    async def hash(self, password: str) -> str:
        return await self._off_loop(lambda: self._context.hash(password))

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether it is the password, and a newer hash to store where the old one is outdated.

        `stored` is None for an unknown person: it takes as long and answers False.
        """
        if len(password) > MAX_LENGTH:
            stored = None
        return await self._off_loop(lambda: self._verify(password[:MAX_LENGTH], stored))

    def _verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        if stored is None:
            self._context.dummy_verify()
            return False, None
        try:
            good, newer = self._context.verify_and_update(password, stored)
        except ValueError:  # bcrypt refuses more than 72 bytes; a broken hash matches nothing
            return False, None
        return bool(good), newer

    async def _off_loop(self, work: Callable[[], Answer]) -> Answer:
        async with self._turn:
            return await asyncio.to_thread(work)
