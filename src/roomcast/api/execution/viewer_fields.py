"""Showing events to many people at one moment: one snapshot, one execution of all that is the same for everybody, and
for each person only the fields that depend on who looks.

The common part is executed without a viewer, so a field that wrongly counts as shared fails there. Whatever fails, in
the common part or in a person's own, that person's answer is executed anew and whole: errors and the nulls that they
spread are graphql-core's, never ours.
"""

import asyncio
from collections.abc import Awaitable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TypeVar, cast
from uuid import UUID

import orjson
from graphql import GraphQLError, GraphQLObjectType
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path

from roomcast.api.context import Backend, Caller, Context, SharedContext
from roomcast.api.execution.bounded_executor import BoundedExecutor
from roomcast.api.execution.documents import is_shared_field
from roomcast.api.execution.engine import execute, raise_outage, result_payload
from roomcast.core.actor import Actor
from roomcast.core.db import is_outage
from roomcast.realtime.retry import retry_until_success

Answer = TypeVar("Answer")

LIVE_CALLER = Caller(request_id="live")

MARK = b"\0"
"""Stands around a hole's number: JSON never has this byte."""


@dataclass(frozen=True, slots=True)
class AudienceMember:
    """Somebody in an audience; the same person, whatever the session."""

    user_id: UUID
    actor: Actor = field(compare=False)


class ViewerField(NamedTuple):
    """A field that was left out: what graphql-core executes it with."""

    parent: GraphQLObjectType
    source: Any
    details: FieldDetailsList
    path: Path
    position: None = None


class ViewerFieldExecutor(BoundedExecutor):
    """Executes an operation whole; with `holes`, without the fields that depend on the viewer, which it puts there."""

    viewer_fields: list[ViewerField] | None = None

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, details: FieldDetailsList, path: Path, position: Any
    ) -> Any:
        if self.viewer_fields is None or _is_shared(parent_type, details[0].node.name.value):
            return super().execute_field(parent_type, source, details, path, position)
        self.viewer_fields.append(ViewerField(parent_type, source, details, path))
        return orjson.Fragment(b"%b%d%b" % (MARK, len(self.viewer_fields) - 1, MARK))

    def __copy__(self) -> "ViewerFieldExecutor":
        """As `copy` makes it, for a fifth of the time: one is made for each person and event."""
        twin = object.__new__(ViewerFieldExecutor)
        twin.__dict__.update(self.__dict__)
        return twin

    def for_event(self, root: Any, context: Context, holes: list[ViewerField] | None = None) -> "ViewerFieldExecutor":
        """One that executes one event for one context."""
        executor = self.build_per_event_executor(root)
        executor.context_value, executor.viewer_fields = context, holes
        return executor


def _is_shared(parent: GraphQLObjectType, name: str) -> bool:
    return name.startswith("__") or is_shared_field(parent.fields[name])


class SharedPart(NamedTuple):
    """What an event that looks different to everybody shows to all of them: its holes, and the JSON around them; None
    where it cannot be had without a viewer."""

    executor: ViewerFieldExecutor
    holes: Sequence[ViewerField]
    pieces: Sequence[bytes] | None


class EventRenderPass:
    """Some events, about to be shown. `caller` says where from; `roots`: what each is executed on, None for one that is
    not to be shown.

    Every payload is of one moment, for as long as the database answers.
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
        self._commons: Sequence[SharedPart | bytes | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._context.close()

    async def payloads_for(self, people: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
        """The payload of each event, for each of these. An outage is waited for: an event that is shown as an error is
        an event that is lost."""
        return await retry_until_success(lambda: self._to(people), worth=is_outage)

    async def _to(self, people: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
        try:
            if self._commons is None:
                self._commons = await _all(self._common(root) for root in self._roots)
            if not any(isinstance(common, SharedPart) for common in self._commons):
                return dict.fromkeys(people, cast("Sequence[bytes | None]", self._commons))
            contexts = [self._seen_by(person) for person in people]
            payloads = await _all(_payload(common, context) for context in contexts for common in self._commons)
        except Exception:  # the next try looks at another moment
            self._commons = None
            await self._context.reset_reads()
            raise
        size = len(self._roots)
        return {person: payloads[number * size :][:size] for number, person in enumerate(people)}

    def _seen_by(self, person: Hashable) -> Context:
        if not isinstance(person, AudienceMember):
            raise TypeError("who looks at what is personal is a person")
        return Context(self._backend, person.actor, self._caller, self._context)

    async def _common(self, root: Any) -> SharedPart | bytes | None:
        """The payload itself where it is the same for everybody."""
        if root is None:
            return None
        holes: list[ViewerField] = []
        executor = self._executor.for_event(root, self._context, holes if self._is_personal else None)
        executor._relevant_sub_fields = {}  # the copy shares this cache, which would keep some of every event for ever
        result = await execute(executor)
        raise_outage(result.errors)
        if self._is_personal and result.errors and executor.exceeded is None:
            return SharedPart(executor, (), None)
        encoded = orjson.dumps(result_payload(result, LIVE_CALLER.request_id))
        if not holes:
            return encoded
        pieces = encoded.split(MARK)
        return SharedPart(executor, [holes[int(number)] for number in pieces[1::2]], pieces)


async def _payload(common: SharedPart | bytes | None, context: Context) -> bytes | None:
    if not isinstance(common, SharedPart):
        return common
    return await _filled(common, context) or await _whole(common, context)


async def _filled(common: SharedPart, context: Context) -> bytes | None:
    """None where it has to be executed whole."""
    if common.pieces is None:
        return None
    executor, pieces = common.executor.for_event(common.executor.root_value, context), list(common.pieces)
    try:
        values = await _all(_value(executor, hole) for hole in common.holes)
    except GraphQLError:
        return None
    if executor.collected_errors.errors:
        return None
    pieces[1::2] = map(orjson.dumps, values)
    return b"".join(pieces) if sum(map(len, pieces)) <= executor.max_bytes else None


async def _value(executor: ViewerFieldExecutor, hole: ViewerField) -> Any:
    found = executor.execute_field(*hole)
    return await found if executor.is_awaitable(found) else found


async def _whole(common: SharedPart, context: Context) -> bytes:
    executor = common.executor.for_event(common.executor.root_value, context)
    executor._relevant_sub_fields = {}
    result = await execute(executor)
    raise_outage(result.errors)
    return orjson.dumps(result_payload(result, LIVE_CALLER.request_id))


async def _all(steps: Iterable[Awaitable[Answer]]) -> list[Answer]:
    """Their answers. If one fails, only after the others have ended too: none reads on in a snapshot that is closed."""
    begun = list(steps)
    if len(begun) == 1:
        return [await begun[0]]
    found = await asyncio.gather(*begun, return_exceptions=True)
    for answer in found:
        if isinstance(answer, BaseException):
            raise answer
    return cast("list[Answer]", found)
