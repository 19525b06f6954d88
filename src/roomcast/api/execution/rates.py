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
from roomcast.core.rates import Buckets, Charge, ClientAddresses, Rate
from roomcast.core.refusals import Refusals

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
    """Limits per user, and per address; None for no limit. The names are those of the settings.

    Limits per address are ten times as high, because many users may share an address: in an office, or behind a
    proxy that ROOMCAST_TRUSTED_PROXIES does not name.
    """

    operations_per_user: Rate | None = Rate(per_second=100, burst=1_000)
    operations_per_address: Rate | None = Rate(per_second=1_000, burst=10_000)
    cost_per_user: Rate | None = Rate(per_second=50_000, burst=500_000)
    cost_per_address: Rate | None = Rate(per_second=500_000, burst=5_000_000)
    messages_per_user: Rate | None = Rate(per_second=20, burst=500)
    signals_per_user: Rate | None = Rate(per_second=10, burst=500)
    """Clients repeat a typing signal every few seconds. Each one may be sent to thousands of connections."""
    changes_per_user: Rate | None = Rate(per_second=20, burst=1_000)
    """In units of `CHANGE_WEIGHTS`: a hundred new rooms at once, then two per second."""
    changes_per_address: Rate | None = Rate(per_second=200, burst=10_000)
    parsing_per_address: Rate | None = Rate(per_second=50_000, burst=2_000_000)
    """Characters of documents that are not cached. Parsing one takes a thousand times as long as a cache hit."""
    concurrent_operations_per_user: int | None = 4
    """Operations that are executed at the same time; further ones wait. Otherwise one user with hundreds of requests
    would occupy all database connections."""


class RateLimiter:
    def __init__(self, limits: RateLimits, buckets: Buckets, addresses: ClientAddresses, refusals: Refusals) -> None:
        self.limits, self._buckets, self._addresses, self._refusals = limits, buckets, addresses, refusals

    async def admit(self, operation: Operation, cost: int, viewer: Actor | None, caller: Caller) -> None:
        """Charge the operation to viewer and address. Raises RequestErrors with RATE_LIMITED and retryAfterMs."""
        amounts: dict[str, float] = {"operations": 1, "cost": cost}
        if operation.kind is OperationType.MUTATION:
            amounts |= _mutation_amounts(operation.root_fields)
        address = self._addresses.limited(caller.ip_address)
        charges = [] if address is None else self._charges("address", address, amounts)
        if viewer is not None:
            charges += self._charges("user", str(viewer.user_id), amounts)
        await self._take(charges)

    async def admit_parsing(self, document: str, caller: Caller) -> None:
        """Charge the parsing of a document to the address. Raises as `admit` does."""
        address = self._addresses.limited(caller.ip_address)
        if address is not None:
            await self._take(self._charges("address", address, {"parsing": len(document)}))

    def _charges(self, scope: str, caller: str, amounts: Mapping[str, float]) -> list[Charge]:
        """The charges for which there is a limit of this scope, each at most the size of the bucket: a larger one would
        never be accepted."""
        charges = []
        for name, amount in amounts.items():
            limit = f"{name}_per_{scope}"
            rate: Rate | None = getattr(self.limits, limit, None)
            if rate is not None and amount:
                charges.append(Charge(limit, caller, rate, min(amount, rate.burst)))
        return charges

    async def _take(self, charges: list[Charge]) -> None:
        shortage = await self._buckets.take(charges) if charges else None
        if shortage is not None:
            self._refusals.count(shortage.charge.limit, shortage.charge.caller)
            milliseconds = math.ceil(shortage.seconds * 1000)
            raise RequestErrors(
                coded_error("RATE_LIMITED", "Too many requests. Try again later.", retryAfterMs=milliseconds)
            )


def _mutation_amounts(fields: Sequence[str]) -> dict[str, float]:
    """What the mutations of a document count as: changes, messages and signals by their weights."""
    return {
        "changes": sum(CHANGE_WEIGHTS.get(name, 1) for name in fields),
        "messages": sum(map(MESSAGE_WEIGHTS.get, fields, repeat(0))),
        "signals": sum(map(SIGNAL_WEIGHTS.get, fields, repeat(0))),
    }
