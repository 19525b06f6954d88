"""The interface between transports and live streams.

A subscription field yields no events. It checks the viewer's rights and returns a `SubscriptionStream`. The connection
opens that with a `StreamOpening` and holds the resulting `OpenStream` until either side ends it. Transports use streams
through these protocols only, and streams use transports through `StreamOpening` only.
"""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from roomcast.accounts.policy import SessionEndReason
from roomcast.api.errors import coded_error
from roomcast.api.execution.documents import Operation, RequestErrors
from roomcast.api.execution.engine import Engine
from roomcast.api.execution.requests import Request
from roomcast.core.actor import Actor
from roomcast.live.room_streams import AudienceMember
from roomcast.realtime.hub import Hub
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.ports import Failure, Renderer
from roomcast.realtime.reader import Reader, Subscriber
from roomcast.realtime.topic import Topic


class OpenResult(Enum):
    """How a stream begins."""

    LIVE = auto()
    """With what happens from now on. The client does not know this position yet."""

    RESUMED = auto()
    """After a cursor that the client sent."""

    ENDED = auto()
    """Not at all: the viewer's right to it has ended while it was opened."""


class OpenStream(Protocol):
    """A stream that is attached to a connection."""

    def stop(self) -> None:
        """Send nothing more: the client has ended the subscription, or is gone."""

    def end(self, reason: SessionEndReason) -> asyncio.Task[None] | None:
        """The session that the stream belongs to has ended: send a last event that says so.

        The task is done when that event is sent and `StreamOpening.on_end` was called. None for a stream without such
        an event: the connection then completes the operation itself.
        """

    def announced_position(self) -> tuple[UUID, int] | None:
        """The room and seq up to which the outbox has taken everything, for the cursors in pings.

        None for streams whose events tell their own position, that have none, or that are suspended.
        """


Attached = TypeVar("Attached", bound=OpenStream)


class Attach(Protocol):
    """Checks again that the viewer may have the stream, calls `create`, and registers the result with the connection.

    There is no wait between these steps: the session could end in it, and nothing would end the new stream. Raises
    RequestErrors, before it calls `create`.
    """

    def __call__(self, create: Callable[[], Attached]) -> Attached: ...


@dataclass(frozen=True, slots=True)
class StreamOpening:
    """What a connection gives to a stream that opens on it.

    `head` and `tail`: the bytes before and after each payload in the frames of this subscription. `on_end`: called when
    the server has ended the stream. `on_failure`: called when the stream cannot go on; the client gets an error and may
    subscribe again.
    """

    engine: Engine
    hub: Hub
    operation: Operation
    request: Request
    viewer: Actor
    outbox: Outbox
    head: bytes
    tail: bytes
    attach: Attach
    on_end: Callable[[], None]
    on_failure: Callable[[Failure], None]


class SubscriptionStream(Protocol):
    """What a subscription field returns."""

    async def open(self, opening: StreamOpening) -> OpenResult:
        """Attach the stream and start it. Raises RequestErrors. A stream that is ENDED calls `on_end` by itself."""


# ------------------------------------------------------------------ streams of a hub's topic


class TopicStream(Protocol):
    """A stream that reads one topic of the hub, in a group with all subscribers who see the same."""

    @property
    def topic(self) -> str: ...

    @property
    def after(self) -> int | None:
        """The seq to replay from; None for live events only."""

    @property
    def tail(self) -> int:
        """The topic's last seq when the viewer's right to it was checked."""

    @property
    def epoch(self) -> UUID:
        """The event log's epoch before that check."""

    @property
    def announced_room_id(self) -> UUID | None:
        """The room whose positions pings announce; None for streams that need no announcement."""

    def group_key(self, operation: Operation, request: Request) -> Hashable:
        """Equal for subscribers who see the same."""

    def renderer(self, engine: Engine, operation: Operation, request: Request) -> Renderer:
        """Renders the topic's events for one group."""

    def start(self, reader: Reader, epoch: UUID) -> None:
        """Start the reader where the stream begins. `epoch` is the event log's current one."""


class OpenTopicStream:
    __slots__ = ("_hub", "_room_id", "reader", "topic")

    def __init__(self, hub: Hub, topic: Topic, reader: Reader, room_id: UUID | None) -> None:
        self.topic, self.reader = topic, reader
        self._hub, self._room_id = hub, room_id

    def stop(self) -> None:
        self._hub.detach(self.topic, self.reader)

    def end(self, reason: SessionEndReason) -> asyncio.Task[None]:
        return self.reader.end(reason)

    def announced_position(self) -> tuple[UUID, int] | None:
        room_id, position = self._room_id, self.reader.position
        return (room_id, position) if room_id is not None and position is not None else None


async def open_topic_stream(stream: TopicStream, opening: StreamOpening) -> OpenResult:
    """`SubscriptionStream.open` for streams of a topic."""
    hub = opening.hub
    async with hub.topic(stream.topic) as topic:
        if topic is None:
            raise RequestErrors(coded_error("NOT_FOUND", "There is no such room."))
        _check_group_limit(stream, topic, opening)
        opened = opening.attach(partial(_attach_reader, stream, topic, opening))
        # The viewer's right was checked at `tail`, before the reader was attached. An event between the two may have
        # ended it, and no other check would see that event. If the log was replaced in between, the right may never
        # have been in it.
        is_same_log = stream.epoch == opening.engine.backend.epoch
        await topic.recheck_rights(opened.reader, stream.tail if is_same_log else -1)
    if not opened.reader.is_open:
        return OpenResult.ENDED
    stream.start(opened.reader, opening.engine.backend.epoch)
    return OpenResult.LIVE if stream.after is None else OpenResult.RESUMED


def _check_group_limit(stream: TopicStream, topic: Topic, opening: StreamOpening) -> None:
    """Raises RequestErrors if the viewer would have too many groups of the topic to themselves."""
    most, user_id = opening.engine.limits.room_documents_per_user, opening.viewer.user_id
    if most is None or stream.group_key(opening.operation, opening.request) in topic.groups:
        return
    if topic.has_groups_of(AudienceMember(user_id, opening.viewer), most):
        opening.engine.backend.refusals.count("room_documents_per_user", user_id)
        message = f"You have {most} different subscriptions of this room open, which is the most."
        raise RequestErrors(coded_error("SUBSCRIPTION_LIMIT", message))


def _attach_reader(stream: TopicStream, topic: Topic, opening: StreamOpening) -> OpenTopicStream:
    hub, on_end = opening.hub, opening.on_end

    def on_reader_end() -> None:  # holds no OpenTopicStream: that would be a cycle, reader → callback → reader
        hub.release(topic)
        on_end()

    subscriber = Subscriber(
        opening.outbox,
        AudienceMember(opening.viewer.user_id, opening.viewer),
        opening.head,
        opening.tail,
        on_reader_end,
        opening.on_failure,
    )
    reader = hub.attach(
        topic,
        stream.group_key(opening.operation, opening.request),
        partial(stream.renderer, opening.engine, opening.operation, opening.request),
        subscriber,
        stream.after,
    )
    return OpenTopicStream(hub, topic, reader, stream.announced_room_id)
