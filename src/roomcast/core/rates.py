"""Token buckets: who may do how much, by one number for each bucket, in this process or in Redis for several.

A bucket is kept as the moment when it will be full again (the generic cell rate algorithm), so it needs no timer and an
untouched one needs no memory.
"""

import ipaddress
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

MAX_BUCKETS = 100_000
_log = logging.getLogger("roomcast.rates")


@lru_cache(maxsize=10_000)
def counted_address(address: str | None) -> str:
    """What limits per address count as one address: of IPv6 the whole /64, which is what one customer gets.

    Empty where the address is not known; then all such callers share the limits."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:  # a socket that listens on both
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, `per_second` in the long run."""

    per_second: float
    burst: float


class Charge(NamedTuple):
    """So much is to be taken from that bucket."""

    bucket: str
    rate: Rate
    amount: float = 1


class Buckets(Protocol):
    async def take(self, drafts: Sequence[Charge]) -> float:
        """Take from all of them and return 0, or from none and return the seconds until there is enough in each."""


class MemoryBuckets:
    """Of one process. Bounded: the buckets that were full longest ago are forgotten, which changes nothing."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}

    async def take(self, drafts: Sequence[Charge]) -> float:
        now = time.monotonic()
        after = [max(self._full_at.get(d.bucket, now), now) + d.amount / d.rate.per_second for d in drafts]
        wait = max(then - now - d.rate.burst / d.rate.per_second for then, d in zip(after, drafts, strict=True))
        if wait > 1e-9:
            return wait
        for draft, then in zip(drafts, after, strict=True):
            self._full_at[draft.bucket] = then
        if len(self._full_at) > MAX_BUCKETS:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        emptiest = sorted(self._full_at.items(), key=lambda held: held[1])[MAX_BUCKETS // 10 :]
        self._full_at = {bucket: then for bucket, then in emptiest if then > now}


SCRIPT = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local after, wait = {}, 0
for i = 1, #KEYS do
  local per_second, burst, amount = ARGV[3*i-2], ARGV[3*i-1], ARGV[3*i]
  after[i] = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now) + amount / per_second
  wait = math.max(wait, after[i] - now - burst / per_second)
end
if wait > 0.000001 then return tostring(wait) end
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], string.format('%.6f', after[i]), 'PX', math.ceil((after[i] - now) * 1000) + 1)
end
return '0'
"""


class RedisBuckets:
    """Shared by all processes on one Redis. While it does not answer, each process keeps its own: nobody is refused
    for the server's trouble, and nobody goes without a limit."""

    def __init__(self, redis: Any) -> None:
        """`redis`: a `redis.asyncio.Redis` with time-outs."""
        self._redis, self._script = redis, redis.register_script(SCRIPT)
        self._own = MemoryBuckets()
        self._is_down = False

    async def take(self, drafts: Sequence[Charge]) -> float:
        numbers = [number for d in drafts for number in (d.rate.per_second, d.rate.burst, d.amount)]
        try:
            wait = float(await self._script(keys=[f"roomcast:rate:{d.bucket}" for d in drafts], args=numbers))
        except Exception as error:  # whatever the driver raises, requests are served
            if not self._is_down:
                _log.warning("rates are kept by this process alone: %s", type(error).__name__)
            self._is_down = True
            return await self._own.take(drafts)
        self._is_down = False
        return wait

    async def close(self) -> None:
        await self._redis.aclose()
