"""Limits of uploads and downloads: how many at a time, how slow, how much disk space."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from roomcast.core.errors import RateLimited


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Limits of one process. None: no limit.

    An address can stand for a company behind one router, or for a proxy that ROOMCAST_TRUSTED_PROXIES does not name.
    """

    uploads: int = 128
    uploads_per_address: int | None = 32
    uploads_per_user: int | None = 8
    downloads: int = 1000
    downloads_per_address: int | None = 200
    stall_seconds: float = 30.0
    """How long a client may send no part of its body, or read no part of the response."""
    bytes_per_second: int = 4096
    """The average below which a transfer is aborted. A poor mobile connection is several times as fast."""
    grace_seconds: float = 10.0
    """The first seconds, in which the average is not checked."""
    min_free_bytes: int = 256 * 1024**2
    """Disk space that uploads leave free, because the database may need it."""

    def without_client_limits(self) -> "TransferLimits":
        """Without limits per address and per user, for load tests."""
        return replace(self, uploads_per_address=None, uploads_per_user=None, downloads_per_address=None)


class Slots:
    """Counts and limits the running transfers."""

    def __init__(self, most: int, per_address: int | None, per_person: int | None = None) -> None:
        self._most, self._per_address, self._per_person = most, per_address, per_person
        self._addresses: Counter[str | None] = Counter()
        self._users: Counter[UUID] = Counter()

    @property
    def count(self) -> int:
        return self._addresses.total()

    @contextmanager
    def acquire(self, address: str | None, user_id: UUID | None = None) -> Iterator[None]:
        """Hold a slot while the block runs. Raises RateLimited."""
        is_full = (
            self.count >= self._most
            or (address is not None and _is_reached(self._addresses[address], self._per_address))
            or (user_id is not None and _is_reached(self._users[user_id], self._per_person))
        )
        if is_full:
            raise RateLimited("Too many transfers at once.", retry_after_ms=1000)
        people = {} if user_id is None else {user_id: 1}
        self._addresses.update({address: 1})
        self._users.update(people)
        try:
            yield
        finally:
            self._addresses -= Counter({address: 1})  # also removes zeros
            self._users -= Counter(people)


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


def _is_reached(count: int, most: int | None) -> bool:
    return most is not None and count >= most
