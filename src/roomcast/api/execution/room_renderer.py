"""Executes a subscription's document on the events of a room, once for all subscribers with the same document."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, cast

import orjson

from roomcast.api.context import SharedContext
from roomcast.api.execution.documents import Operation
from roomcast.api.execution.engine import Engine
from roomcast.api.execution.requests import Request
from roomcast.api.execution.viewer_fields import LIVE_CALLER, EventRenderPass, ViewerFieldExecutor
from roomcast.core.clock import now
from roomcast.core.events import Event
from roomcast.live.room_streams import Ended, Ready, RenderedEvent, Stream
from roomcast.realtime.ports import FeedEntry


class RoomEventRenderer:
    """The `realtime.ports.Renderer` of one group: one document, and one set of variables."""

    def __init__(self, engine: Engine, operation: Operation, request: Request, stream: Stream) -> None:
        self.is_personal = not operation.is_shared
        self.state = stream.feed_in(stream.start_at.room_id) if stream.feed_in else None
        self._backend, self._stream = engine.backend, stream
        self._kinds = stream.kinds | ({Ready, Ended} if stream.has_control_events else set())
        self._caller = replace(LIVE_CALLER, origin=stream.address)
        context = SharedContext(engine.backend, self._caller)
        self._executor = cast(
            "ViewerFieldExecutor", engine.executor(operation, request.variables, context, ViewerFieldExecutor)
        )

    def render(self, entries: Sequence[FeedEntry], *, replayed: bool) -> EventRenderPass:
        roots = [
            RenderedEvent(entry.event, replayed) if type(entry.event) in self._kinds else None for entry in entries
        ]
        return EventRenderPass(self._backend, self._caller, self._executor, roots, is_personal=self.is_personal)

    def signal(self, signal: Event, seq: int) -> FeedEntry:
        return FeedEntry(seq, replace(signal, seq=seq))

    def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> FeedEntry | None:
        return self._control_entry(Ready(self._stream.start_at.room_id, seq, now(), recovered, replayed_count))

    def ended(self, seq: int, reason: Any) -> FeedEntry | None:
        return self._control_entry(Ended(self._stream.start_at.room_id, seq, now(), reason))

    def _control_entry(self, event: Ready | Ended) -> FeedEntry | None:
        return FeedEntry(event.seq, event) if self._stream.has_control_events else None


def group_key(operation: Operation, request: Request, stream: Stream) -> Hashable:
    """Equal for subscriptions that receive the same payloads: same document, variables and server address."""
    rendered = _rendered_variables(operation)
    variables = {name: value for name, value in request.variables.items() if name in rendered}
    return operation.identity, operation.name, orjson.dumps(variables, option=orjson.OPT_SORT_KEYS), stream.address


def _rendered_variables(operation: Operation) -> set[str]:
    """The variables that can change a payload. The cursor `after` cannot: subscribers at different positions share a
    group."""
    cursors = {
        argument.value.name.value
        for field in operation.definition.selection_set.selections  # one field, which may be written several times
        for argument in getattr(field, "arguments", ())
        if argument.name.value == "after" and hasattr(argument.value, "name")
    }
    declared = {definition.variable.name.value for definition in operation.definition.variable_definitions or ()}
    return declared - cursors
