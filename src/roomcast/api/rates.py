"""How much a person and an address may ask for: operations, cost, messages, signals. Refused before anything runs."""

import math
from dataclasses import dataclass

from roomcast.api.context import Caller
from roomcast.api.documents import Operation, RequestErrors
from roomcast.api.errors import coded
from roomcast.core.actor import Actor
from roomcast.core.rates import Buckets, Draft, Rate

NEW_MESSAGES = frozenset({"sendMessage"})
SIGNALS = frozenset({"setPresence", "setTyping"})


@dataclass(frozen=True, slots=True)
class Allowances:
    """Many people may share an address: a company, a proxy that ROOMCAST_TRUSTED_PROXIES does not name."""

    operations: Rate = Rate(per_second=100, burst=1_000)
    cost: Rate = Rate(per_second=50_000, burst=500_000)
    messages: Rate = Rate(per_second=20, burst=500)
    signals: Rate = Rate(per_second=10, burst=500)
    """Said again every few seconds in each room where one types; each may be told to thousands."""
    operations_of_address: Rate = Rate(per_second=1_000, burst=10_000)
    cost_of_address: Rate = Rate(per_second=500_000, burst=5_000_000)
    reading_of_address: Rate = Rate(per_second=50_000, burst=2_000_000)
    """Characters of documents that were not known yet: reading one takes a thousand times as long as finding it."""


class Rates:
    def __init__(self, buckets: Buckets, allowances: Allowances | None = None) -> None:
        self._buckets, self._allowances = buckets, allowances or Allowances()

    async def admit(self, operation: Operation, cost: int, viewer: Actor | None, caller: Caller) -> None:
        """Raises RequestErrors with RATE_LIMITED and how long to wait."""
        await self._take(self._drafts(operation, cost, viewer, caller))

    async def admit_reading(self, document: str, caller: Caller) -> None:
        """Raises as `admit` does."""
        bucket, rate = f"reading:{caller.ip_address}", self._allowances.reading_of_address
        await self._take([Draft(bucket, rate, min(len(document), rate.burst))])

    async def _take(self, drafts: list[Draft]) -> None:
        wait = await self._buckets.take(drafts)
        if wait > 0:
            milliseconds = math.ceil(wait * 1000)
            raise RequestErrors(
                coded("RATE_LIMITED", "Too much in too little time; try again later.", retryAfterMs=milliseconds)
            )

    def _drafts(self, operation: Operation, cost: int, viewer: Actor | None, caller: Caller) -> list[Draft]:
        allowed, address = self._allowances, caller.ip_address
        drafts = [
            Draft(f"operations:{address}", allowed.operations_of_address),
            Draft(f"cost:{address}", allowed.cost_of_address, cost),
        ]
        if viewer is not None:
            drafts += [
                Draft(f"operations:{viewer.user_id}", allowed.operations),
                Draft(f"cost:{viewer.user_id}", allowed.cost, cost),
            ]
            if messages := sum(name in NEW_MESSAGES for name in operation.root_fields):
                drafts.append(Draft(f"messages:{viewer.user_id}", allowed.messages, messages))
            if signals := sum(name in SIGNALS for name in operation.root_fields):
                drafts.append(Draft(f"signals:{viewer.user_id}", allowed.signals, signals))
        return drafts
