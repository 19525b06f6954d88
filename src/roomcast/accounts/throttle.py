"""Patience with whoever fails to sign in: each failure beyond the first few doubles the wait, per account and address.

An attack on an account cannot lock its owner out: from an address that the account has signed in from before, tries
are counted apart, also from those at the same address for other accounts, and never wait long. Kept in memory, so with
several processes each has its own patience; the arithmetic is pure and the keys are plain, so that a shared store can
take the place of the dictionary.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from roomcast.core.errors import RateLimited
from roomcast.core.rates import counted_address

Value = TypeVar("Value")
Key = tuple[str, ...]
Clock = Callable[[], float]

MAX_KEYS = 50_000
"""Keys in memory. Whoever could push others out would have failed that often: at a price of a hash each."""

FAILURE_TTL_SECONDS = 3600.0
MAX_LOGIN = 254
"""Characters of a login that tell it from others."""


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """How many failures cost nothing, and how the wait grows with each one after them."""

    free_failures: int
    first_seconds: float
    max_seconds: float

    def delay_seconds(self, failures: int) -> float:
        if failures < self.free_failures:
            return 0.0
        return min(self.max_seconds, self.first_seconds * 2.0 ** min(failures - self.free_failures, 30))


BACKOFF_POLICIES: Mapping[str, BackoffPolicy] = {
    "account": BackoffPolicy(free_failures=5, first_seconds=1.0, max_seconds=900.0),
    # Colleagues of the account's owner may share this address. Half a minute bounds how long they can keep the owner
    # waiting, and lets nobody try more than three thousand passwords in a day.
    "known": BackoffPolicy(free_failures=5, first_seconds=1.0, max_seconds=30.0),
    "session": BackoffPolicy(free_failures=5, first_seconds=1.0, max_seconds=900.0),
    # Answers that an e-mail address belongs to somebody, of one address or one signed-in person.
    "emails": BackoffPolicy(free_failures=10, first_seconds=60.0, max_seconds=900.0),
    # Many people share one address: it is only slowed down enough to make trying everybody's password hopeless.
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


class Recent(OrderedDict[Key, Value], Generic[Value]):
    """The latest entries; the ones that were touched longest ago make room."""

    def put(self, key: Key, value: Value) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > MAX_KEYS:
            self.popitem(last=False)


class Throttle:
    """Tries to sign in. `enabled` False: everybody may always try."""

    def __init__(self, *, enabled: bool = True, clock: Clock = time.monotonic) -> None:
        self._enabled, self._clock = enabled, clock
        self._counts: Recent[FailureCount] = Recent()

    def check(self, keys: Sequence[Key]) -> None:
        """Raises RateLimited while one of these has to wait."""
        ends = [self._counts[key].blocked_until for key in keys if key in self._counts]
        wait = max(ends, default=-math.inf) - self._clock()
        if self._enabled and wait > 0:
            raise RateLimited("too many failed attempts; wait and try again", retry_after_ms=math.ceil(wait * 1000))

    def record_failure(self, keys: Sequence[Key]) -> None:
        """A try has failed."""
        for key in keys:
            tally = self._counts.get(key, FailureCount())
            self._counts.put(key, tally.after_failure(BACKOFF_POLICIES[key[0]], self._clock()))

    def record_success(self, keys: Sequence[Key]) -> None:
        """A try was right: its account's failures are forgotten, its address's are not, or one account of one's own
        would buy tries at all others."""
        for key in keys:
            if key[0] != "address":
                self._counts.pop(key, None)


def throttle_keys(login: str, address: str | None, known: set[str]) -> list[Key]:
    """Whose patience a try at an account costs. `known`: addresses that the account has signed in from.

    By what was typed, not by the account behind it: an unknown name wears patience out just like a known one.
    """
    name, place = login.strip().casefold()[:MAX_LOGIN], network(address)
    if place is None:
        return [("account", name)]
    is_known = place in {network(one) for one in known}
    return [("known", name, place) if is_known else ("account", name), ("address", place)]


def blocking_keys(keys: Sequence[Key]) -> Sequence[Key]:
    """Those of the keys of a try that can refuse it: what others fail at elsewhere does not count for an account at an
    address that it knows."""
    return keys[:1] if keys[0][0] == "known" else keys


def network(address: str | None) -> str | None:
    """As `counted_address`; None where it is not known."""
    return counted_address(address) or None
