"""How much a person and an address may ask for: operations, cost, changes, messages, signals. Refused before anything
runs."""

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
"""By weight: presence is told in every room of the person, typing in one."""

CHANGE_WEIGHTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        [*MESSAGE_WEIGHTS, *SIGNAL_WEIGHTS, "login", "refreshSession", "logout"], 0
    ),  # limited elsewhere, or not
    "createRoom": 10,
    "openDirectMessage": 10,
    "addMembers": 10,
    "createInvite": 5,
    "reportMessage": 5,
    "createUpload": 2,
    "editMessage": 2,
    "updateProfile": 5,
}
"""Weights of mutations, for each time a document asks for one; 1 for the others."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Many people may share an address: a company, a proxy that ROOMCAST_TRUSTED_PROXIES does not name."""

    operations: Rate = Rate(per_second=100, burst=1_000)
    cost: Rate = Rate(per_second=50_000, burst=500_000)
    messages: Rate = Rate(per_second=20, burst=500)
    signals: Rate = Rate(per_second=10, burst=500)
    """Said again every few seconds in each room where one types; each may be told to thousands."""
    changes: Rate = Rate(per_second=20, burst=1_000)
    """Of `CHANGES`: a hundred rooms at once, then two a second."""
    changes_per_address: Rate = Rate(per_second=200, burst=10_000)
    operations_per_address: Rate = Rate(per_second=1_000, burst=10_000)
    cost_per_address: Rate = Rate(per_second=500_000, burst=5_000_000)
    parsing_per_address: Rate = Rate(per_second=50_000, burst=2_000_000)
    """Characters of documents that were not known yet: reading one takes a thousand times as long as finding it."""


class RateLimiter:
    def __init__(self, buckets: Buckets, allowances: RateLimits | None = None) -> None:
        self._buckets, self._allowances = buckets, allowances or RateLimits()

    async def admit(self, operation: Operation, cost: int, viewer: Actor | None, caller: Caller) -> None:
        """Raises RequestErrors with RATE_LIMITED and how long to wait."""
        await self._take(self._drafts(operation, cost, viewer, caller))

    async def admit_parsing(self, document: str, caller: Caller) -> None:
        """Raises as `admit` does."""
        bucket, rate = f"reading:{counted_address(caller.ip_address)}", self._allowances.parsing_per_address
        await self._take([Charge(bucket, rate, min(len(document), rate.burst))])

    async def _take(self, drafts: list[Charge]) -> None:
        wait = await self._buckets.take(drafts)
        if wait > 0:
            milliseconds = math.ceil(wait * 1000)
            raise RequestErrors(
                coded_error("RATE_LIMITED", "Too much in too little time; try again later.", retryAfterMs=milliseconds)
            )

    def _drafts(self, operation: Operation, cost: int, viewer: Actor | None, caller: Caller) -> list[Charge]:
        allowed, address = self._allowances, counted_address(caller.ip_address)
        drafts = [
            Charge(f"operations:{address}", allowed.operations_per_address),
            Charge(f"cost:{address}", allowed.cost_per_address, cost),
        ]
        if viewer is not None:
            drafts += [
                Charge(f"operations:{viewer.user_id}", allowed.operations),
                Charge(f"cost:{viewer.user_id}", allowed.cost, cost),
            ]
        if operation.kind is OperationType.MUTATION:
            drafts += self._changes(operation.root_fields, viewer, address)
        return drafts

    def _changes(self, fields: Sequence[str], viewer: Actor | None, address: str) -> list[Charge]:
        """For each mutation that is asked for, under whatever alias."""
        allowed = self._allowances
        changes = sum(CHANGE_WEIGHTS.get(name, 1) for name in fields)
        drafts = [_draft(f"changes:{address}", allowed.changes_per_address, changes)]
        if viewer is not None:
            messages, signals = (
                sum(map(weights.get, fields, repeat(0))) for weights in (MESSAGE_WEIGHTS, SIGNAL_WEIGHTS)
            )
            drafts += [
                _draft(f"changes:{viewer.user_id}", allowed.changes, changes),
                _draft(f"messages:{viewer.user_id}", allowed.messages, messages),
                _draft(f"signals:{viewer.user_id}", allowed.signals, signals),
            ]
        return [draft for draft in drafts if draft.amount]


def _draft(bucket: str, rate: Rate, amount: float) -> Charge:
    """No more than the bucket holds: what weighs more waits until it is full."""
    return Charge(bucket, rate, min(amount, rate.burst))
