"""Token buckets for rate limits, in the memory of this process or in Redis for several processes.

A bucket is stored as the time at which it will be full again (the generic cell rate algorithm). It needs no timer, and
a full bucket needs no memory.
"""

import ipaddress
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

MAX_BUCKETS = 100_000
logger = logging.getLogger("roomcast.rates")


@lru_cache(maxsize=10_000)
def counted_address(address: str | None) -> str:
    """The address for limits per address. For IPv6 it is the /64 network, because one customer gets a whole one.

    Empty if the address is unknown; all such callers share one limit."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:  # a socket that listens on both
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` is the size of a bucket, `per_second` the rate at which it fills up."""

    per_second: float
    burst: float


class Charge(NamedTuple):
    """An amount to take from a bucket."""

    bucket: str
    rate: Rate
    amount: float = 1


class Buckets(Protocol):
    async def take(self, charges: Sequence[Charge]) -> float:
        """Take from all buckets and return 0, or take nothing and return the seconds until each bucket has enough."""


class MemoryBuckets:
    """Buckets of one process. Above MAX_BUCKETS it drops full ones and the tenth that is closest to full."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}

    async def take(self, charges: Sequence[Charge]) -> float:
        now = time.monotonic()
        after = [max(self._full_at.get(d.bucket, now), now) + d.amount / d.rate.per_second for d in charges]
        wait = max(full_at - now - d.rate.burst / d.rate.per_second for full_at, d in zip(after, charges, strict=True))
        if wait > 1e-9:
            return wait
        for charge, full_at in zip(charges, after, strict=True):
            self._full_at[charge.bucket] = full_at
        if len(self._full_at) > MAX_BUCKETS:
            emptiest = sorted(self._full_at.items(), key=lambda item: item[1])[MAX_BUCKETS // 10 :]
            self._full_at = {bucket: full_at for bucket, full_at in emptiest if full_at > now}
        return 0.0


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
    """Buckets that all processes on one Redis share. While Redis does not answer, each process uses its own buckets, so
    that requests are neither refused nor unlimited."""

    def __init__(self, redis: Any) -> None:
        """`redis`: a `redis.asyncio.Redis` with timeouts."""
        self._redis, self._script = redis, redis.register_script(SCRIPT)
        self._own = MemoryBuckets()
        self._is_down = False

    async def take(self, charges: Sequence[Charge]) -> float:
        numbers = [number for d in charges for number in (d.rate.per_second, d.rate.burst, d.amount)]
        try:
            wait = float(await self._script(keys=[f"roomcast:rate:{d.bucket}" for d in charges], args=numbers))
        except Exception as error:  # requests are served whatever the driver raises
            if not self._is_down:
                logger.warning("Redis does not answer; rate limits count per process: %s", type(error).__name__)
            self._is_down = True
            return await self._own.take(charges)
        self._is_down = False
        return wait

    async def close(self) -> None:
        await self._redis.aclose()
