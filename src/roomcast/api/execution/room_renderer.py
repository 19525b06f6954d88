"""Streams of a room for GraphQL subscriptions.

A document is executed on each event once for all subscribers who receive the same payload.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, cast
from uuid import UUID

import orjson

from roomcast.api.context import SharedContext
from roomcast.api.execution.delivery_times import DeliveryTimes, tells_delivery
from roomcast.api.execution.documents import Operation
from roomcast.api.execution.engine import Engine
from roomcast.api.execution.requests import Request
from roomcast.api.execution.streams import OpenResult, StreamOpening, open_topic_stream
from roomcast.api.execution.viewer_fields import LIVE_CALLER, EventRenderPass, ViewerFieldExecutor
from roomcast.core.clock import now
from roomcast.core.events import Event
from roomcast.live.room_streams import Ended, Ready, RenderedEvent, Stream, StreamEndReason
from roomcast.live.topics import room_topic
from roomcast.realtime.ports import FeedEntry
from roomcast.realtime.reader import Reader


@dataclass(frozen=True, slots=True)
class RoomStream:
    """What a subscription resolver returns: the `SubscriptionStream` of a room, of its presence or of its typing."""

    stream: Stream

    async def open(self, opening: StreamOpening) -> OpenResult:
        return await open_topic_stream(self, opening)

    @property
    def topic(self) -> str:
        return room_topic(self.stream.start_at.room_id)

    @property
    def after(self) -> int | None:
        return self.stream.start_at.after

    @property
    def tail(self) -> int:
        return self.stream.start_at.tail

    @property
    def epoch(self) -> UUID:
        return self.stream.start_at.epoch

    @property
    def announced_room_id(self) -> UUID | None:
        return self.stream.start_at.room_id if self.stream.needs_announcements else None

    def group_key(self, operation: Operation, request: Request) -> Hashable:
        return group_key(operation, request, self.stream)

    def renderer(self, engine: Engine, operation: Operation, request: Request) -> "RoomEventRenderer":
        return RoomEventRenderer(engine, operation, request, self.stream)

    def start(self, reader: Reader, epoch: UUID) -> None:
        self.stream.start(reader, epoch)

    def __aiter__(self) -> NoReturn:
        raise TypeError("a room's stream is opened by the WebSocket connection and cannot be iterated")


class RoomEventRenderer:
    """The `realtime.ports.Renderer` of one group: one document, and one set of variables."""

    def __init__(self, engine: Engine, operation: Operation, request: Request, stream: Stream) -> None:
        self.is_personal = not operation.is_shared
        self.state = stream.feed_in(stream.start_at.room_id) if stream.feed_in else None
        self._backend, self._stream, self._tells_delivery = engine.backend, stream, tells_delivery(request)
        self._kinds = stream.kinds | ({Ready, Ended} if stream.has_control_events else set())
        self._caller = replace(LIVE_CALLER, origin=stream.address)
        context = SharedContext(engine.backend, self._caller)
        self._executor = cast(
            "ViewerFieldExecutor", engine.executor(operation, request.variables, context, ViewerFieldExecutor)
        )

    def render(self, entries: Sequence[FeedEntry], *, replayed: bool) -> EventRenderPass | DeliveryTimes:
        roots = [
            RenderedEvent(entry.event, replayed) if type(entry.event) in self._kinds else None for entry in entries
        ]
        rendering = EventRenderPass(self._backend, self._caller, self._executor, roots, is_personal=self.is_personal)
        return DeliveryTimes(rendering, entries, replayed=replayed) if self._tells_delivery else rendering

    def signal(self, signal: Event, seq: int) -> FeedEntry:
        return FeedEntry(seq, replace(signal, seq=seq))

    def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> FeedEntry | None:
        return self._control_entry(Ready(self._stream.start_at.room_id, seq, now(), recovered, replayed_count))

    def ended(self, seq: int, reason: Any) -> FeedEntry | None:
        # The reason is a StreamEndReason, or a SessionEndReason of the same value.
        return self._control_entry(Ended(self._stream.start_at.room_id, seq, now(), StreamEndReason(reason.value)))

    def _control_entry(self, event: Ready | Ended) -> FeedEntry | None:
        return FeedEntry(event.seq, event) if self._stream.has_control_events else None


def group_key(operation: Operation, request: Request, stream: Stream) -> Hashable:
    """Equal for subscriptions that receive the same payloads: same document, variables, extension, server address."""
    # The cursor `after` changes no payload: subscribers at different positions share a group.
    cursors = {
        argument.value.name.value
        for field in operation.definition.selection_set.selections  # one field, which may be written several times
        for argument in getattr(field, "arguments", ())
        if argument.name.value == "after" and hasattr(argument.value, "name")
    }
    rendered = {each.variable.name.value for each in operation.definition.variable_definitions or ()} - cursors
    variables = {name: value for name, value in request.variables.items() if name in rendered}
    encoded = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
    return operation.identity, operation.name, encoded, tells_delivery(request), stream.address
