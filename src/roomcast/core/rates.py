"""Token buckets for rate limits, in the memory of this process or in Redis for several processes.

A bucket is stored as the time at which it will be full again (the generic cell rate algorithm). It needs no timer, and
a full bucket needs no memory.
"""

import asyncio
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
    found = _parse(address)
    if found is None:
        return ""
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _parse(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found  # a socket that listens on both maps IPv4 into IPv6


class ClientAddresses:
    """Tells addresses with limits from those of trusted networks, such as a company's, which have none."""

    def __init__(self, trusted_networks: Sequence[str] = ()) -> None:
        self._trusted = [ipaddress.ip_network(network) for network in trusted_networks]
        self.limited = lru_cache(maxsize=10_000)(self._limited)
        """`counted_address` of an address; None where no limit per address applies."""

    def is_trusted(self, address: str | None) -> bool:
        return self.limited(address) is None

    def _limited(self, address: str | None) -> str | None:
        found = _parse(address)
        if found is not None and any(found in network for network in self._trusted):
            return None
        return counted_address(address)


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` is the size of a bucket, `per_second` the rate at which it fills up."""

    per_second: float
    burst: float


class Charge(NamedTuple):
    """An amount to take from a caller's bucket. `limit` names the limit, `caller` is an address or the id of a user."""

    limit: str
    caller: str
    rate: Rate
    amount: float = 1

    @property
    def bucket(self) -> str:
        return f"{self.limit}:{self.caller}"


class Shortage(NamedTuple):
    """The bucket of this charge has not enough before that many seconds have passed."""

    charge: Charge
    seconds: float


class Buckets(Protocol):
    async def take(self, charges: Sequence[Charge]) -> Shortage | None:
        """Take from all buckets and return None, or take nothing and return the longest shortage. `charges` has at
        least one."""


class MemoryBuckets:
    """Buckets of one process. Above MAX_BUCKETS it drops full ones and the tenth that is closest to full."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}

    async def take(self, charges: Sequence[Charge]) -> Shortage | None:
        now = time.monotonic()
        names = [charge.bucket for charge in charges]
        after = [
            max(self._full_at.get(name, now), now) + charge.amount / charge.rate.per_second
            for name, charge in zip(names, charges, strict=True)
        ]
        waits = [at - now - d.rate.burst / d.rate.per_second for at, d in zip(after, charges, strict=True)]
        if (wait := max(waits)) > 1e-9:
            return Shortage(charges[waits.index(wait)], wait)
        self._full_at.update(zip(names, after, strict=True))
        if len(self._full_at) > MAX_BUCKETS:
            emptiest = sorted(self._full_at.items(), key=lambda item: item[1])[MAX_BUCKETS // 10 :]
            self._full_at = {bucket: full_at for bucket, full_at in emptiest if full_at > now}
        return None


SCRIPT = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local after, wait, short = {}, 0, 0
for i = 1, #KEYS do
  local per_second, burst, amount = ARGV[3*i-2], ARGV[3*i-1], ARGV[3*i]
  after[i] = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now) + amount / per_second
  local missing = after[i] - now - burst / per_second
  if missing > wait then wait, short = missing, i end
end
if wait > 0.000001 then return {short, tostring(wait)} end
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], string.format('%.6f', after[i]), 'PX', math.ceil((after[i] - now) * 1000) + 1)
end
return {0, '0'}
"""


PROBE_SECONDS = 1.0
"""How often a Redis that does not answer is asked again."""

PROBE = Charge("probe", "", Rate(per_second=1_000, burst=1_000))


class RedisBuckets:
    """Buckets that all processes on one Redis share. While Redis does not answer, each process uses its own buckets, so
    that requests are neither refused nor unlimited.

    Only requests that are on their way when Redis stops answering wait for its timeout. A task then asks Redis until it
    answers again.
    """

    def __init__(self, redis: Any, probe_seconds: float = PROBE_SECONDS) -> None:
        """`redis`: a `redis.asyncio.Redis` with timeouts."""
        self._redis, self._script = redis, redis.register_script(SCRIPT)
        self._own, self._probe_seconds = MemoryBuckets(), probe_seconds
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_shared(self) -> bool:
        """Whether Redis counts, and not this process."""
        return self._probing is None

    async def take(self, charges: Sequence[Charge]) -> Shortage | None:
        if not self.is_shared:
            return await self._own.take(charges)
        try:
            return await self._take_shared(charges)
        except Exception as error:  # requests are served whatever the driver raises
            if self.is_shared:  # else another request has noticed it before
                logger.warning("Redis does not answer; rate limits count per process: %s", type(error).__name__)
                self._probing = asyncio.create_task(self._probe(), name="rate limits: ask Redis")
            return await self._own.take(charges)

    async def _take_shared(self, charges: Sequence[Charge]) -> Shortage | None:
        numbers = [number for d in charges for number in (d.rate.per_second, d.rate.burst, d.amount)]
        short, wait = await self._script(keys=[f"roomcast:rate:{d.bucket}" for d in charges], args=numbers)
        return Shortage(charges[short - 1], float(wait)) if short else None

    async def _probe(self) -> None:
        """Return when Redis takes a charge again. An answer to PING would not be enough: a replica, and a Redis without
        memory, refuse to write."""
        begun = time.monotonic()
        while True:
            await asyncio.sleep(self._probe_seconds)
            try:
                await self._take_shared([PROBE])
            except Exception as error:
                logger.debug("Redis does not answer yet: %s", type(error).__name__)
            else:
                break
        self._probing = None
        logger.info("Redis answers again after %.0f s; rate limits are shared", time.monotonic() - begun)

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        await self._redis.aclose()
