"""An executor that completes the objects of root fields by plans."""

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any

from graphql import GraphQLObjectType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path

from roomcast.api.execution.plans.cache import PlanCache
from roomcast.api.execution.plans.omitting import OmittingExecutor
from roomcast.api.execution.plans.run import Pending, Plan, Run, close
from roomcast.api.execution.plans.writer import write_field_plan, write_plan


class PlannedExecutor(OmittingExecutor):
    """Without `use_plans`, graphql-core completes everything."""

    _plans: PlanCache | None = None
    _conditions: Hashable = ()

    def use_plans(self, plans: PlanCache, variables: Iterable[str]) -> None:
        """`variables`: the names of all variables that `@skip` and `@include` may use."""
        self._plans, self._conditions = plans, tuple(map(self.variable_values.coerced.get, variables))

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        details: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position: Any,
    ) -> Any:
        plan = self._plan(return_type, details) if _is_below_root_field(path) else None
        if plan is None or plan.complete is None:
            return super().complete_object_value(return_type, details, info, path, result, position)
        run, pending = Run(plan, self), list[Pending]()
        data = None
        with suppress(Exception):  # an error of graphql-core would have this one as its context
            data = plan.complete(result, run, pending)
        if data is None:
            close(pending)
            return super().complete_object_value(return_type, details, info, path, result, position)
        if pending:
            return self._finish(run, data, pending, (return_type, details, info, path, result, position))
        run.count()
        return data

    async def _finish(self, run: Run, data: Any, pending: list[Pending], completed: tuple[Any, ...]) -> Any:
        with suppress(Exception):
            return await run.finish(data, pending)
        run.uncount()
        value = super().complete_object_value(*completed)
        return await value if self.is_awaitable(value) else value

    def field_plan(self, parent: GraphQLObjectType, details: FieldDetailsList) -> Plan | None:
        """The plan of one field of an object that has been checked. None if it has none yet."""
        return self._cached_plan("field", parent, details, write_field_plan)

    def _plan(self, type_: GraphQLObjectType, details: FieldDetailsList) -> Plan | None:
        """The plan of this selection. None if it has none yet."""
        if self.exceeded is not None or type_.name.startswith("__"):
            return None
        return self._cached_plan(self.leaves_out_fields, type_, details, write_plan)

    def _cached_plan(
        self, kind: Hashable, type_: GraphQLObjectType, details: FieldDetailsList, write: Callable[..., Plan]
    ) -> Plan | None:
        if self._plans is None:
            return None
        # The plan holds the nodes, so their ids are not used again while it is in the cache.
        key = type_.name, tuple([id(each.node) for each in details]), self._conditions, kind
        plan = self._plans.get(key)
        if plan is None and self._plans.is_due(key):
            plan = write(self, type_, details)
            self._plans.put(key, plan)
        return plan


def _is_below_root_field(path: Path) -> bool:
    """Whether this is the value of a root field, or an item of its list."""
    return path.prev is None or (isinstance(path.key, int) and path.prev.prev is None)
