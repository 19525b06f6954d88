"""Renders subscription events for many viewers: the shared fields once, the viewer fields for each viewer.

All executions of one pass read one database snapshot. The shared part is executed without a viewer, so a field that is
wrongly marked as shared raises there. If any field fails, in the shared part or for a viewer, that viewer's payload is
executed again in full: graphql-core alone decides about errors and the nulls that they cause.

graphql-core executes the fields of the first viewer. Plans complete those of all others, whose rows are there by then.
"""

import asyncio
from collections.abc import Awaitable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeVar, cast

import orjson
from graphql import GraphQLError, GraphQLObjectType
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path

from roomcast.api.context import Backend, Caller, Context, PersonalReads, SharedContext
from roomcast.api.execution.bounded_executor import FIELDS_BEFORE_YIELDING
from roomcast.api.execution.documents import is_shared_field
from roomcast.api.execution.engine import execute, raise_outage, result_payload
from roomcast.api.execution.plans.executor import PlannedExecutor
from roomcast.api.execution.plans.run import Complete, Pending, Plan, Run, close
from roomcast.api.execution.plans.writer import FIELD_KEY
from roomcast.api.loaders import AWAITABLE_TYPES, Maybe
from roomcast.core.db import is_outage
from roomcast.live.room_streams import AudienceMember
from roomcast.realtime.retry import retry_until_success

Result = TypeVar("Result")

LIVE_CALLER = Caller(request_id="live")
"""The caller of executions that no request started."""

PLACEHOLDER = b"\0"
"""Encloses the number of a viewer field in the shared JSON. This byte does not occur in JSON."""


class ViewerField(NamedTuple):
    """A field that the shared part omits: the arguments of `execute_field`."""

    parent: GraphQLObjectType
    source: Any
    details: FieldDetailsList
    path: Path
    position: None = None


class ViewerFieldExecutor(PlannedExecutor):
    """Executes an operation in full. If `viewer_fields` is a list, it collects the viewer fields there instead."""

    viewer_fields: list[ViewerField] | None = None

    @property
    def leaves_out_fields(self) -> bool:
        return self.viewer_fields is not None

    def leaves_out(self, parent: GraphQLObjectType, field_name: str) -> bool:
        if self.viewer_fields is None or field_name.startswith("__"):
            return False
        return not is_shared_field(parent.fields[field_name])

    def leave_out(self, parent: GraphQLObjectType, source: Any, details: FieldDetailsList, path: Path) -> Any:
        """Collect the field. Returns what marks its place in the JSON."""
        collected = cast("list[ViewerField]", self.viewer_fields)
        collected.append(ViewerField(parent, source, details, path))
        return orjson.Fragment(b"%b%d%b" % (PLACEHOLDER, len(collected) - 1, PLACEHOLDER))

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, details: FieldDetailsList, path: Path, position: Any
    ) -> Any:
        if self.leaves_out(parent_type, details[0].node.name.value):
            return self.leave_out(parent_type, source, details, path)
        return super().execute_field(parent_type, source, details, path, position)

    def __copy__(self) -> "ViewerFieldExecutor":
        """A shallow copy in a fifth of the time of `copy`. One copy is made for each viewer and event."""
        twin = object.__new__(ViewerFieldExecutor)
        twin.__dict__.update(self.__dict__)
        return twin

    def for_event(
        self, root: Any, context: Context, viewer_fields: list[ViewerField] | None = None
    ) -> "ViewerFieldExecutor":
        """An executor of one event in one context."""
        executor = self.build_per_event_executor(root)
        executor.context_value, executor.viewer_fields = context, viewer_fields
        return executor


class SharedPart(NamedTuple):
    """The part of a payload that is the same for all viewers: its JSON, cut at the viewer fields.

    `pieces` alternates JSON and the numbers of viewer fields. It is None if the shared part failed. `plans`: of the
    viewer fields, empty if one of them has none.
    """

    executor: ViewerFieldExecutor
    viewer_fields: Sequence[ViewerField]
    pieces: Sequence[bytes] | None
    plans: Sequence[Plan] = ()


class EventRenderPass:
    """Renders some events for any number of viewers, from one database snapshot.

    `roots`: the root value of each event, None for an event that the stream does not show. After an outage of the
    database, the pass continues with a new snapshot.
    """

    def __init__(
        self,
        backend: Backend,
        caller: Caller,
        executor: ViewerFieldExecutor,
        roots: Sequence[Any],
        *,
        is_personal: bool,
    ) -> None:
        self._backend, self._executor, self._roots, self._is_personal = backend, executor, roots, is_personal
        self._caller, self._context = caller, SharedContext(backend, caller)
        self._shared_parts: Sequence[SharedPart | bytes | None] | None = None
        self._personal_reads: PersonalReads | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._context.close()

    async def payloads_for(self, audience: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
        """The payload of each event, for each audience member.

        It retries during an outage of the database: an event that arrives as an error would be lost for the client.
        """
        return await retry_until_success(lambda: self._render(audience), worth=is_outage)

    async def _render(self, audience: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
        try:
            if self._shared_parts is None:
                self._shared_parts = await _gather(self._render_shared(root) for root in self._roots)
            if not any(isinstance(shared, SharedPart) for shared in self._shared_parts):
                return dict.fromkeys(audience, cast("Sequence[bytes | None]", self._shared_parts))
            payloads = await self._render_viewers([self._context_for(member) for member in audience])
        except Exception:  # the next try needs a new snapshot
            self._shared_parts = self._personal_reads = None
            await self._context.reset_reads()
            raise
        size = len(self._roots)
        return {member: payloads[number * size : (number + 1) * size] for number, member in enumerate(audience)}

    async def _render_viewers(self, contexts: Sequence[Context]) -> list[bytes | None]:
        """The payloads for the first viewer, then for the second one, and so on.

        What fields read for the first viewer of the pass is then read for all others in one trip to the database.
        Their fields have values at once, and no task is needed for each of them.
        """
        payloads: list[bytes | None] = []
        if self._personal_reads is None:
            first, contexts = contexts[0], contexts[1:]
            payloads = await self._fill_in_all([first])
            self._personal_reads = self._context.personal_reads(first.actor.user_id)
        await self._context.repeat_reads(self._personal_reads, [context.actor.user_id for context in contexts])
        return payloads + await self._fill_in_all(contexts, by_plans=True)

    async def _fill_in_all(self, contexts: Sequence[Context], *, by_plans: bool = False) -> list[bytes | None]:
        filled: list[Any] = [
            (by_plans and _fill_in_by_plans(shared, context)) or _fill_in(shared, context)
            for context in contexts
            for shared in self._shared_parts or ()
        ]
        later = iter(await _gather(each for each in filled if isinstance(each, AWAITABLE_TYPES)))
        return [next(later) if isinstance(each, AWAITABLE_TYPES) else each for each in filled]

    def _context_for(self, member: Hashable) -> Context:
        if not isinstance(member, AudienceMember):
            raise TypeError("viewer fields need an AudienceMember")
        return Context(self._backend, member.actor, self._caller, self._context)

    async def _render_shared(self, root: Any) -> SharedPart | bytes | None:
        """The shared part of an event, or its whole payload if that is the same for all viewers."""
        if root is None:
            return None
        viewer_fields: list[ViewerField] = []
        executor = self._executor.for_event(root, self._context, viewer_fields if self._is_personal else None)
        executor._relevant_sub_fields = {}  # shared by all copies: it would keep parts of every event
        result = await execute(executor)
        raise_outage(result.errors)
        if self._is_personal and result.errors and executor.exceeded is None:  # a response that is too large is final
            return SharedPart(executor, (), None)
        encoded = orjson.dumps(result_payload(result, LIVE_CALLER.request_id))
        if not viewer_fields:
            return encoded
        pieces = encoded.split(PLACEHOLDER)
        # The odd pieces are the numbers of the fields, in the order of the JSON. It may differ from that of execution.
        ordered = [viewer_fields[int(number)] for number in pieces[1::2]]
        return SharedPart(executor, ordered, pieces, self._plans_of(ordered))

    def _plans_of(self, viewer_fields: Sequence[ViewerField]) -> Sequence[Plan]:
        """The plans of these fields, or nothing if graphql-core has to complete one of them.

        A plan that calls general resolvers is not used: their `info` would need an executor for each viewer.
        """
        executor = self._executor.for_event(None, self._context)
        executor._relevant_sub_fields = {}
        plans = [executor.field_plan(field.parent, field.details) for field in viewer_fields]
        usable = [plan for plan in plans if plan and plan.complete and not plan.fields]
        return usable if len(usable) == len(plans) else ()


def _fill_in_by_plans(shared: SharedPart | bytes | None, context: Context) -> bytes | None:
    """The payload for this viewer. None if graphql-core has to complete it.

    Each viewer has a run of their own: it keeps objects that it has completed, and it has the viewer's context.
    """
    if not isinstance(shared, SharedPart) or not shared.plans:
        return None
    run, pieces, pending = Run(shared.plans[0], shared.executor), list(shared.pieces or ()), list[Pending]()
    run.context, run.max_fields = context, FIELDS_BEFORE_YIELDING
    try:
        for place, (plan, field) in enumerate(zip(shared.plans, shared.viewer_fields, strict=True)):
            value = cast("Complete", plan.complete)(field.source, run, pending)[FIELD_KEY]
            pieces[2 * place + 1] = orjson.dumps(value)
    except Exception:  # graphql-core will raise it again
        close(pending)
        return None
    close(pending)
    payload = b"".join(pieces)
    return None if pending or max(run.bytes, len(payload)) > shared.executor.max_bytes else payload


def _fill_in(shared: SharedPart | bytes | None, context: Context) -> Maybe[bytes | None]:
    """The payload for this viewer. An awaitable of it if a field has to wait or has failed."""
    if not isinstance(shared, SharedPart):
        return shared
    if shared.pieces is None:
        return _render_in_full(shared, context)
    executor, values = shared.executor.for_event(shared.executor.root_value, context), list[Any]()
    try:
        for field in shared.viewer_fields:
            values.append(executor.execute_field(*field))
    except GraphQLError:
        return _render_in_full(shared, context, values)
    if any(map(executor.is_awaitable, values)):
        return _fill_in_later(shared, context, executor, values)
    payload = _joined(shared, executor, values)
    return _render_in_full(shared, context) if payload is None else payload


async def _fill_in_later(
    shared: SharedPart, context: Context, executor: ViewerFieldExecutor, values: Sequence[Any]
) -> bytes | None:
    try:
        found = iter(await _gather(filter(executor.is_awaitable, values)))
    except GraphQLError:
        return await _render_in_full(shared, context)
    values = [next(found) if executor.is_awaitable(value) else value for value in values]
    payload = _joined(shared, executor, values)
    return await _render_in_full(shared, context) if payload is None else payload


def _joined(shared: SharedPart, executor: ViewerFieldExecutor, values: Sequence[Any]) -> bytes | None:
    """The payload with these values of viewer fields. None if it must be rendered in full."""
    if executor.collected_errors.errors:
        return None
    pieces = list(shared.pieces or ())
    pieces[1::2] = map(orjson.dumps, values)
    return b"".join(pieces) if sum(map(len, pieces)) <= executor.max_bytes else None


async def _render_in_full(shared: SharedPart, context: Context, unused: Sequence[Any] = ()) -> bytes:
    """The payload, executed again in full because a field has failed. `unused` may have awaitables in it."""
    await asyncio.gather(*filter(shared.executor.is_awaitable, unused), return_exceptions=True)
    executor = shared.executor.for_event(shared.executor.root_value, context)
    executor._relevant_sub_fields = {}
    result = await execute(executor)
    raise_outage(result.errors)
    return orjson.dumps(result_payload(result, LIVE_CALLER.request_id))


async def _gather(steps: Iterable[Awaitable[Result]]) -> list[Result]:
    """Run all steps and return their results.

    An exception is raised only after every step has ended. Otherwise a step would read from a snapshot that is closed.
    """
    pending = list(steps)
    if len(pending) == 1:
        return [await pending[0]]
    results = await asyncio.gather(*pending, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[Result]", results)
