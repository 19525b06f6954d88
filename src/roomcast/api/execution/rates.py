"""Rate limits of operations, checked before execution: per user and per IP address."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from graphql import OperationType

from roomcast.api.context import Caller
from roomcast.api.errors import coded_error
from roomcast.api.execution.documents import Operation, RequestErrors
from roomcast.core.actor import Actor
from roomcast.core.rates import Buckets, Charge, Rate, counted_address

MESSAGE_WEIGHTS: Final[Mapping[str, int]] = {"sendMessage": 1}
SIGNAL_WEIGHTS: Final[Mapping[str, int]] = {"setPresence": 5, "setTyping": 1}
"""Weights: a presence change is sent to every room of the user, a typing signal to one."""

CHANGE_WEIGHTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        [*MESSAGE_WEIGHTS, *SIGNAL_WEIGHTS, "login", "refreshSession", "logout"], 0
    ),  # other limits apply, or none
    "createRoom": 10,
    "openDirectMessage": 10,
    "addMembers": 10,
    "createInvite": 5,
    "reportMessage": 5,
    "createUpload": 2,
    "editMessage": 2,
    "updateProfile": 5,
}
"""Weights of mutations, counted for each time that a document selects one. The weight of all others is 1."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Limits per user, and per address.

    Limits per address are ten times as high, because many users may share an address: in an office, or behind a
    proxy that ROOMCAST_TRUSTED_PROXIES does not name.
    """

    operations: Rate = Rate(per_second=100, burst=1_000)
    cost: Rate = Rate(per_second=50_000, burst=500_000)
    messages: Rate = Rate(per_second=20, burst=500)
    signals: Rate = Rate(per_second=10, burst=500)
    """Clients repeat a typing signal every few seconds. Each one may be sent to thousands of connections."""
    changes: Rate = Rate(per_second=20, burst=1_000)
    """In units of `CHANGE_WEIGHTS`: a hundred new rooms at once, then two per second."""
    changes_per_address: Rate = Rate(per_second=200, burst=10_000)
    operations_per_address: Rate = Rate(per_second=1_000, burst=10_000)
    cost_per_address: Rate = Rate(per_second=500_000, burst=5_000_000)
    parsing_per_address: Rate = Rate(per_second=50_000, burst=2_000_000)
    """Characters of documents that are not cached. Parsing one takes a thousand times as long as a cache hit."""


class RateLimiter:
    def __init__(self, buckets: Buckets, limits: RateLimits | None = None) -> None:
        self._buckets, self._limits = buckets, limits or RateLimits()

    async def admit(self, operation: Operation, cost: int, viewer: Actor | None, caller: Caller) -> None:
        """Charge the operation to viewer and address. Raises RequestErrors with RATE_LIMITED and retryAfterMs."""
        allowed, address = self._limits, counted_address(caller.ip_address)
        charges = [
            Charge(f"operations:{address}", allowed.operations_per_address),
            Charge(f"cost:{address}", allowed.cost_per_address, cost),
        ]
        if viewer is not None:
            charges += [
                Charge(f"operations:{viewer.user_id}", allowed.operations),
                Charge(f"cost:{viewer.user_id}", allowed.cost, cost),
            ]
        if operation.kind is OperationType.MUTATION:
            charges += self._mutation_charges(operation.root_fields, viewer, address)
        await self._take(charges)

    async def admit_parsing(self, document: str, caller: Caller) -> None:
        """Charge the parsing of a document to the address. Raises as `admit` does."""
        bucket, rate = f"reading:{counted_address(caller.ip_address)}", self._limits.parsing_per_address
        await self._take([Charge(bucket, rate, min(len(document), rate.burst))])

    async def _take(self, charges: list[Charge]) -> None:
        wait = await self._buckets.take(charges)
        if wait > 0:
            milliseconds = math.ceil(wait * 1000)
            raise RequestErrors(
                coded_error("RATE_LIMITED", "Too many requests. Try again later.", retryAfterMs=milliseconds)
            )

    def _mutation_charges(self, fields: Sequence[str], viewer: Actor | None, address: str) -> list[Charge]:
        """Charges for the mutations of a document: changes, messages and signals by their weights."""
        allowed = self._limits
        changes = sum(CHANGE_WEIGHTS.get(name, 1) for name in fields)
        charges = [_capped_charge(f"changes:{address}", allowed.changes_per_address, changes)]
        if viewer is not None:
            messages, signals = (
                sum(map(weights.get, fields, repeat(0))) for weights in (MESSAGE_WEIGHTS, SIGNAL_WEIGHTS)
            )
            charges += [
                _capped_charge(f"changes:{viewer.user_id}", allowed.changes, changes),
                _capped_charge(f"messages:{viewer.user_id}", allowed.messages, messages),
                _capped_charge(f"signals:{viewer.user_id}", allowed.signals, signals),
            ]
        return [charge for charge in charges if charge.amount]


def _capped_charge(bucket: str, rate: Rate, amount: float) -> Charge:
    """A charge of at most the size of the bucket: a larger one would never be accepted."""
    return Charge(bucket, rate, min(amount, rate.burst))
