"""Login throttling with exponential backoff, per account and per address.

An attack cannot lock the owner of an account out: attempts from an address that the account has signed in from before
are counted separately, also from attempts at other accounts from that address, and their wait is short. The counts are
in memory, so each process counts for itself.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from roomcast.core.bounded_cache import BoundedCache
from roomcast.core.rates import Rate, counted_address

Key = tuple[str, ...]
Clock = Callable[[], float]

MAX_KEYS = 50_000
"""Keys in memory. To evict a key, an attacker needs this many failures, each of which costs a password hash."""

FAILURE_TTL_SECONDS = 3600.0
MAX_LOGIN = 254
"""Characters of a login that are part of its key."""


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Sign-ups, and the failures that cost nothing; None for no limit. The names are those of the settings."""

    signups_per_address: Rate | None = Rate(per_second=1 / 3, burst=200)
    """Allows a school class behind one address to sign up at once, and stops automated sign-ups."""
    failed_signins_per_address: int | None = 30
    failed_signins_per_user: int | None = 5
    taken_emails_per_address: int | None = 10
    """Responses EMAIL_TAKEN."""
    taken_emails_per_user: int | None = 10


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """The wait after a number of failures: none for the first ones, as many as the limit of this name says, then it
    doubles with each failure."""

    limit: str
    first_seconds: float
    max_seconds: float

    def delay_seconds(self, failures: int, free_failures: int) -> float:
        if failures < free_failures:
            return 0.0
        return min(self.max_seconds, self.first_seconds * 2.0 ** min(failures - free_failures, 30))


BACKOFF_POLICIES: Mapping[str, BackoffPolicy] = {
    "account": BackoffPolicy("failed_signins_per_user", first_seconds=1.0, max_seconds=900.0),
    # Others may share this address with the owner of the account. Half a minute limits how long they can block the
    # owner, and allows at most three thousand passwords a day.
    "known": BackoffPolicy("failed_signins_per_user", first_seconds=1.0, max_seconds=30.0),
    "session": BackoffPolicy("failed_signins_per_user", first_seconds=1.0, max_seconds=900.0),
    "emails of address": BackoffPolicy("taken_emails_per_address", first_seconds=60.0, max_seconds=900.0),
    "emails of user": BackoffPolicy("taken_emails_per_user", first_seconds=60.0, max_seconds=900.0),
    # Many users can share an address: it is slowed down just enough to stop password guessing over many accounts.
    "address": BackoffPolicy("failed_signins_per_address", first_seconds=1.0, max_seconds=60.0),
}
"""By the first part of a key."""


@dataclass(frozen=True, slots=True)
class FailureCount:
    failures: int = 0
    failed_at: float = -math.inf
    blocked_until: float = -math.inf

    def after_failure(self, policy: BackoffPolicy, free_failures: int, moment: float) -> "FailureCount":
        failures = 1 if moment - self.failed_at > FAILURE_TTL_SECONDS else self.failures + 1
        return FailureCount(failures, moment, moment + policy.delay_seconds(failures, free_failures))


class Block(NamedTuple):
    """The limit of this name is reached, for that many seconds."""

    limit: str
    seconds: float


class Throttle:
    """Counts failed logins."""

    def __init__(self, limits: AccountLimits | None = None, clock: Clock = time.monotonic) -> None:
        self._limits, self._clock = limits or AccountLimits(), clock
        self._counts: BoundedCache[Key, FailureCount] = BoundedCache(MAX_KEYS)

    def find_block(self, keys: Sequence[Key]) -> Block | None:
        """What blocks one of these keys for longest; None if nothing does."""
        moment = self._clock()
        blocks = [
            Block(BACKOFF_POLICIES[key[0]].limit, count.blocked_until - moment)
            for key in keys
            if (count := self._counts.get(key)) is not None and count.blocked_until > moment
        ]
        return max(blocks, key=lambda block: block.seconds, default=None)

    def record_failure(self, keys: Sequence[Key]) -> None:
        for key in keys:
            policy = BACKOFF_POLICIES[key[0]]
            free_failures: int | None = getattr(self._limits, policy.limit)
            if free_failures is not None:
                count = self._counts.get(key) or FailureCount()
                self._counts.put(key, count.after_failure(policy, free_failures, self._clock()))

    def record_success(self, keys: Sequence[Key]) -> None:
        """Reset the count of the account. The count of the address stays: an attacker could else reset it by logging in
        to an account of their own.
        """
        for key in keys:
            if key[0] != "address":
                self._counts.discard(key)


def throttle_keys(login: str, address: str | None, known: set[str], *, trusted: bool = False) -> list[Key]:
    """The keys of an attempt: the account first, then the address unless it is trusted. `known`: addresses the account
    has signed in from.

    The account's key is the login as it was entered, so unknown names are throttled like known ones.
    """
    name, network_key = login.strip().casefold()[:MAX_LOGIN], network(address)
    if network_key is None:
        return [("account", name)]
    is_known = network_key in {network(one) for one in known}
    account = ("known", name, network_key) if is_known else ("account", name)
    return [account] if trusted else [account, ("address", network_key)]


def blocking_keys(keys: Sequence[Key]) -> Sequence[Key]:
    """The keys that can block the attempt. From a known address only the account's own key counts: failures of others
    must not block it.
    """
    return keys[:1] if keys[0][0] == "known" else keys


def network(address: str | None) -> str | None:
    """Like `counted_address`; None for an unknown address."""
    return counted_address(address) or None
