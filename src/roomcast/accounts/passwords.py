"""Hashes and verifies passwords with argon2id, in a thread of low priority. Imported bcrypt hashes are upgraded."""

import asyncio
import gzip
import logging
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
from roomcast.core.refusals import Refusals

Result = TypeVar("Result")

logger = logging.getLogger("roomcast.accounts")

MAX_CONCURRENT = 1
"""Hashes at a time. Each takes 19 MiB and about 20 ms of a core; on one core, a second would starve the event loop."""

MAX_WAITING = 500
"""Calls that may wait for a slot, by default. The last of them gets its slot before its operation times out."""

NICENESS = 19
"""Of the hashing thread. If it shares a core with the event loop, the event loop goes first: during 200 logins, other
requests take 1.4 times as long as without (niceness 5: 1.9 times, 10: 1.6, 15: 1.5). A free core is used fully."""

MIN_LENGTH, MAX_LENGTH = 8, 128


@cache
def common_passwords() -> frozenset[str]:
    """Frequently used passwords, in lower case."""
    packed = files("roomcast.accounts").joinpath("common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().splitlines())


class Passwords:
    def __init__(
        self,
        memory_kib: int = 19_456,
        passes: int = 2,
        max_waiting: int | None = MAX_WAITING,
        refusals: Refusals | None = None,
    ) -> None:
        """`memory_kib` and `passes` are the cost of a hash. The default is OWASP's minimum for argon2id with one lane.
        `max_waiting`: None for no limit."""
        self._context = CryptContext(
            schemes=["argon2", "bcrypt"],
            deprecated=["bcrypt"],
            argon2__memory_cost=memory_kib,
            argon2__time_cost=passes,
            argon2__parallelism=1,
        )
        # Verifying it costs as much as a real hash. Hashing here would make every start wait for it.
        argon2 = self._context.handler("argon2")
        self._dummy_hash = argon2(use_defaults=True, checksum=secrets.token_bytes(32)).to_string()
        self._max_waiting, self._refusals = max_waiting, refusals or Refusals()
        self._slots, self._waiting = asyncio.Semaphore(MAX_CONCURRENT), 0
        self._pool = ThreadPoolExecutor(MAX_CONCURRENT, "password", initializer=_lower_priority)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def check(self, password: str, *, username: str, path: tuple[str, ...]) -> None:
        """Raises PasswordTooWeak for what is too short, too long, commonly used, or equal to the username."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise PasswordTooWeak(f"A password needs {MIN_LENGTH} to {MAX_LENGTH} characters.", path=path)
        if password.casefold() in common_passwords() or password.casefold() == username.casefold():
            raise PasswordTooWeak("This password is too easy to guess.", path=path)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the slots for hashing. Raises RateLimited if too many calls wait for one."""
        if self._max_waiting is not None and self._waiting >= self._max_waiting:
            self._refusals.count("waiting_signins_per_process", "a sign-in")
            raise RateLimited("Too many logins at the moment; try again.", retry_after_ms=5_000)
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
        """Waits for a slot itself. Raises RateLimited."""
        async with self.slot():
            return await self._run_in_thread(lambda: self._context.hash(password))

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether the password matches, and a newer hash if the stored one is outdated. Call it while holding a `slot`.

        `stored` is None for an unknown user: the call then takes as long as usual and returns False.
        """
        if len(password) > MAX_LENGTH:
            stored = None
        good, newer = await self._run_in_thread(
            lambda: self._verify(password[:MAX_LENGTH], self._dummy_hash if stored is None else stored)
        )
        return good and stored is not None, newer

    def _verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        try:
            # bcrypt uses the first 72 bytes only; the library raises an error for longer passwords.
            checked = password.encode()[:72] if stored.startswith("$2") else password
            good = bool(self._context.verify(checked, stored))
        except ValueError:  # a malformed hash
            return False, None
        return good, self._context.hash(password) if good and self._context.needs_update(stored) else None

    async def _run_in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _lower_priority() -> None:
    """Let the event loop run before this thread. Raises nothing: the pool would refuse all work after an exception."""
    if sys.platform != "linux":  # elsewhere niceness belongs to the whole process
        return
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    except OSError as error:  # a seccomp filter, e.g. of a container or a systemd unit, forbids it
        logger.warning(
            "the priority of the password thread cannot be lowered (%s): sign-ins slow down other requests; allow the "
            "system call setpriority",
            error.strerror,
        )
