"""Limits of uploads and downloads: how many at a time, how slow, how much disk space."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from uuid import UUID

from roomcast.core.errors import RateLimited
from roomcast.core.refusals import Refusals


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Limits of one process. None: no limit. The first names are those of the settings.

    An address can stand for a company behind one router, or for a proxy that ROOMCAST_TRUSTED_PROXIES does not name.
    """

    uploads_per_process: int | None = 128
    uploads_per_address: int | None = 32
    uploads_per_user: int | None = 8
    downloads_per_process: int | None = 1000
    downloads_per_address: int | None = 200
    stall_seconds: float = 30.0
    """How long a client may send no part of its body, or read no part of the response."""
    bytes_per_second: int = 4096
    """The average below which a transfer is aborted. A poor mobile connection is several times as fast."""
    grace_seconds: float = 10.0
    """The first seconds, in which the average is not checked."""
    min_free_bytes: int = 256 * 1024**2
    """Disk space that uploads leave free, because the database may need it."""


class Slots:
    """Counts and limits the running transfers of one kind, "uploads" or "downloads"."""

    def __init__(self, kind: str, limits: TransferLimits, refusals: Refusals | None = None) -> None:
        self._kind, self._limits, self._refusals = kind, limits, refusals or Refusals()
        self._addresses: Counter[str | None] = Counter()
        self._users: Counter[UUID] = Counter()

    @property
    def count(self) -> int:
        return self._addresses.total()

    @contextmanager
    def acquire(self, address: str | None, user_id: UUID | None = None) -> Iterator[None]:
        """Hold a slot while the block runs. No limit per address applies where that is None. Raises RateLimited."""
        self._check("process", self.count, address)
        if address is not None:
            self._check("address", self._addresses[address], address)
        if user_id is not None:
            self._check("user", self._users[user_id], user_id)
        people = {} if user_id is None else {user_id: 1}
        self._addresses.update({address: 1})
        self._users.update(people)
        try:
            yield
        finally:
            self._addresses -= Counter({address: 1})  # also removes zeros
            self._users -= Counter(people)

    def _check(self, scope: str, count: int, caller: object) -> None:
        limit = f"{self._kind}_per_{scope}"
        most: int | None = getattr(self._limits, limit)
        if most is not None and count >= most:
            self._refusals.count(limit, caller)
            raise RateLimited("Too many transfers at once.", retry_after_ms=1000)


class TransferClock:
    """Measures the time spent waiting for one client. Time for the disk and for other clients does not count."""

    def __init__(self, limits: TransferLimits) -> None:
        self._limits = limits
        self._waited, self._bytes = 0.0, 0

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Wrap each wait for the client. Raises TimeoutError if it stalls or is too slow on average."""
        limits, time = self._limits, asyncio.get_running_loop().time
        allowed = limits.grace_seconds + self._bytes / limits.bytes_per_second - self._waited
        start = time()
        try:
            async with asyncio.timeout(max(min(limits.stall_seconds, allowed), 0)):
                yield
        finally:
            self._waited += time() - start

    def count(self, size: int) -> None:
        """Add to the bytes that have been transferred."""
        self._bytes += size
