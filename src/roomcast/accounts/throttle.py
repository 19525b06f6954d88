"""Login throttling with exponential backoff, per account and per address.

An attack cannot lock the owner of an account out: attempts from an address that the account has signed in from before
are counted separately, also from attempts at other accounts from that address, and their wait is short. The counts are
in memory, so each process counts for itself.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from roomcast.core.bounded_cache import BoundedCache
from roomcast.core.errors import RateLimited
from roomcast.core.rates import counted_address

Key = tuple[str, ...]
Clock = Callable[[], float]

MAX_KEYS = 50_000
"""Keys in memory. To evict a key, an attacker needs this many failures, each of which costs a password hash."""

FAILURE_TTL_SECONDS = 3600.0
MAX_LOGIN = 254
"""Characters of a login that are part of its key."""


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """The wait after a number of failures: none for the first `free_failures`, then it doubles with each failure."""

    free_failures: int
    first_seconds: float
    max_seconds: float

    def delay_seconds(self, failures: int) -> float:
        if failures < self.free_failures:
            return 0.0
        return min(self.max_seconds, self.first_seconds * 2.0 ** min(failures - self.free_failures, 30))


BACKOFF_POLICIES: Mapping[str, BackoffPolicy] = {
    "account": BackoffPolicy(free_failures=5, first_seconds=1.0, max_seconds=900.0),
    # Others may share this address with the owner of the account. Half a minute limits how long they can block the
    # owner, and allows at most three thousand passwords a day.
    "known": BackoffPolicy(free_failures=5, first_seconds=1.0, max_seconds=30.0),
    "session": BackoffPolicy(free_failures=5, first_seconds=1.0, max_seconds=900.0),
    # Responses EMAIL_TAKEN, per address or per signed-in user.
    "emails": BackoffPolicy(free_failures=10, first_seconds=60.0, max_seconds=900.0),
    # Many users can share an address: it is slowed down just enough to stop password guessing over many accounts.
    "address": BackoffPolicy(free_failures=30, first_seconds=1.0, max_seconds=60.0),
}


@dataclass(frozen=True, slots=True)
class FailureCount:
    failures: int = 0
    failed_at: float = -math.inf
    blocked_until: float = -math.inf

    def after_failure(self, policy: BackoffPolicy, moment: float) -> "FailureCount":
        failures = 1 if moment - self.failed_at > FAILURE_TTL_SECONDS else self.failures + 1
        return FailureCount(failures, moment, moment + policy.delay_seconds(failures))


class Throttle:
    """Counts failed logins. `enabled` False: nothing is throttled."""

    def __init__(self, *, enabled: bool = True, clock: Clock = time.monotonic) -> None:
        self._enabled, self._clock = enabled, clock
        self._counts: BoundedCache[Key, FailureCount] = BoundedCache(MAX_KEYS)

    def check(self, keys: Sequence[Key]) -> None:
        """Raises RateLimited while one of these keys is blocked."""
        ends = [count.blocked_until for key in keys if (count := self._counts.get(key)) is not None]
        wait = max(ends, default=-math.inf) - self._clock()
        if self._enabled and wait > 0:
            raise RateLimited("Too many failed attempts; wait and try again.", retry_after_ms=math.ceil(wait * 1000))

    def record_failure(self, keys: Sequence[Key]) -> None:
        for key in keys:
            count = self._counts.get(key) or FailureCount()
            self._counts.put(key, count.after_failure(BACKOFF_POLICIES[key[0]], self._clock()))

    def record_success(self, keys: Sequence[Key]) -> None:
        """Reset the count of the account. The count of the address stays: an attacker could else reset it by logging in
        to an account of their own.
        """
        for key in keys:
            if key[0] != "address":
                self._counts.discard(key)


def throttle_keys(login: str, address: str | None, known: set[str]) -> list[Key]:
    """The keys of an attempt: the account first, then the address. `known`: addresses the account has signed in from.

    The account's key is the login as it was entered, so unknown names are throttled like known ones.
    """
    name, network_key = login.strip().casefold()[:MAX_LOGIN], network(address)
    if network_key is None:
        return [("account", name)]
    is_known = network_key in {network(one) for one in known}
    return [("known", name, network_key) if is_known else ("account", name), ("address", network_key)]


def blocking_keys(keys: Sequence[Key]) -> Sequence[Key]:
    """The keys that can block the attempt. From a known address only the account's own key counts: failures of others
    must not block it.
    """
    return keys[:1] if keys[0][0] == "known" else keys


def network(address: str | None) -> str | None:
    """Like `counted_address`; None for an unknown address."""
    return counted_address(address) or None
