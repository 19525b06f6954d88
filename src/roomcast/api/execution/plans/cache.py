"""The plans of a process."""

from collections.abc import Hashable
from typing import Final

from roomcast.api.execution.plans.run import Plan
from roomcast.core.bounded_cache import BoundedCache

EXECUTIONS_WITHOUT_PLAN: Final = 2
"""Executions of a selection by graphql-core before it gets a plan: most documents of an attacker come once."""

MAX_PLANS, MAX_WEIGHT = 1_000, 4_000_000
"""The unit of `Plan.weight` is about ten bytes."""

MAX_COUNTED: Final = 2_000
"""Selections whose executions are counted."""


class PlanCache:
    """Plans by their keys."""

    def __init__(self, executions_without_plan: int = EXECUTIONS_WITHOUT_PLAN) -> None:
        self._executions_without_plan = executions_without_plan
        self._plans: BoundedCache[Hashable, Plan] = BoundedCache(
            MAX_PLANS, max_weight=MAX_WEIGHT, weigh=lambda _, plan: plan.weight
        )
        self._executions: BoundedCache[Hashable, int] = BoundedCache(MAX_COUNTED)

    def get(self, key: Hashable) -> Plan | None:
        return self._plans.get(key)

    def is_due(self, key: Hashable) -> bool:
        """Count one execution of this key without a plan. Returns whether it should get one now."""
        executions = self._executions.get(key) or 0
        self._executions.put(key, executions + 1)
        return executions >= self._executions_without_plan

    def put(self, key: Hashable, plan: Plan) -> None:
        self._executions.discard(key)
        self._plans.put(key, plan)
