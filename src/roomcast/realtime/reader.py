"""One subscription in its group: stored events first, then live ones, without a gap or a repeat.

A reader is a position, not a queue. While its socket accepts bytes it is live and has no task. When the socket would
block, or when the client resumes from a cursor, a task sends it everything from its position on: from the group's ring,
or from the log where the ring has dropped the events. Live delivery, resuming and catching up are the same path.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from roomcast.realtime.bundle import Bundle, EncodedEvent, bundles, frame_shape
from roomcast.realtime.group import Group
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.ports import Failure, FeedEntry
from roomcast.realtime.retry import retry_until_success

logger = logging.getLogger("roomcast.hub")


@dataclass(frozen=True, slots=True)
class Subscriber:
    """The receiver of a stream. `audience` is the viewer. `prefix` and `suffix` surround each payload on the wire.

    `on_end` is called when the server ends the stream, `on_failure` when it ends with an error; without `on_failure`,
    `on_end` is called then, too.
    """

    outbox: Outbox
    audience: Hashable
    prefix: bytes
    suffix: bytes
    on_end: Callable[[], None]
    on_failure: Callable[[Failure], None] | None = None


class Reader:
    """`after`: the position that it will start after, if that is not the present one. `sent`: the outbox has accepted
    every event up to this seq that the stream shows. It has slots because the loop over thousands of readers waits
    for memory more than for anything else."""

    __slots__ = (
        "_end_task",
        "_group",
        "_has_begun",
        "_is_stale",
        "_on_end",
        "_on_failure",
        "_owes_unrecovered",
        "_requested_start",
        "_suffix",
        "_task",
        "audience",
        "outbox",
        "prefix",
        "sent",
        "shape",
    )

    def __init__(self, group: Group, subscriber: Subscriber, after: int | None = None) -> None:
        self.audience = subscriber.audience
        self._group, self.outbox = group, subscriber.outbox
        self.prefix, self._suffix = subscriber.prefix, subscriber.suffix
        self.shape = frame_shape(len(self.prefix), self._suffix)
        self._on_end, self._on_failure = subscriber.on_end, subscriber.on_failure
        self.sent = group.position if after is None else after
        self._requested_start: tuple[int | None, bool] | None = None
        self._has_begun = self._is_stale = False
        # Before it has started, it is not known whether the client's cursor was refused.
        self._owes_unrecovered = after is None
        self._task: asyncio.Task[None] | None = None
        self._end_task: asyncio.Task[None] | None = None
        group.readers.add(self)

    @property
    def is_open(self) -> bool:
        """Whether it is neither stopped nor ended."""
        return self in self._group.readers

    @property
    def position(self) -> int | None:
        """`sent`; None while it is suspended: a position in the replaced log must not be told with the new epoch."""
        return None if self._group.is_suspended else self.sent

    # ------------------------------------------------------------------ starting

    def start_live(self) -> None:
        """Start at the present position, without stored events."""
        self._start(None)

    def start_after(self, seq: int) -> None:
        """Start at a cursor: send the missed events first."""
        if self._is_stale:  # the log was replaced after the cursor was checked
            self.start_unrecovered()
        else:
            self.sent = seq
            self._start(seq)

    def start_with_snapshot(self) -> None:
        """Send the whole state as it is now, then its changes. A snapshot is the last entry of a `SnapshotFeed`."""
        self.start_after(self._group.position - 1)

    def start_unrecovered(self) -> None:
        """Start at the present position and tell the client that the missed events cannot be recovered. A stream that
        has no control event for that fails."""
        if self._group.renderer.ready(self._group.position, recovered=False, replayed_count=0) is None:
            self.fail(Failure.EXPIRED)
        else:
            self._start(None, recovered=False)

    def _start(self, after: int | None, *, recovered: bool = True) -> None:
        self._requested_start = after, recovered
        self._owes_unrecovered = not recovered
        if not self._group.is_suspended:  # else `restart` starts it
            self._has_begun = True
            self.sent = self._group.position if after is None else after
            self._group.expected = max(self._group.expected, self.sent)
            self._run(partial(self._begin, after, recovered=recovered))

    async def _begin(self, after: int | None, *, recovered: bool) -> None:
        renderer, goal = self._group.renderer, self._group.position
        await self._send_control(renderer.ready(self.sent, recovered=recovered, replayed_count=0))
        self._owes_unrecovered = False
        if after is not None:
            count = 0
            while self.sent < goal:
                count += await self._send_events(await self._read_replay(goal))
            await self._send_control(renderer.ready(max(goal, after), recovered=True, replayed_count=count))
        await self._catch_up()

    # ------------------------------------------------------------------ when the log has lost events

    def suspend(self) -> None:
        """Send nothing until `restart`."""
        self._group.unfollow(self)
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def restart(self) -> None:
        """The log has been replaced: events that this reader has sent, or its cursor, may not be part of it."""
        if self._requested_start is None:  # attached but not started: `start_after` must not trust its cursor
            self._is_stale = self._owes_unrecovered = True
        elif self._has_begun or self._requested_start[0] is not None:
            self.start_unrecovered()
        else:
            self._start(None, recovered=self._requested_start[1])

    # ------------------------------------------------------------------ sending

    def send(self, bundle: Bundle) -> None:
        """Send the next events while live. A reader whose socket would block is no longer live and catches up."""
        if rest := self._send_now(bundle):
            self._group.unfollow(self)
            self.sent = rest[0][0] - 1
            self._run(self._catch_up)

    def _send_now(self, bundle: Bundle) -> Sequence[EncodedEvent]:
        """Send a bundle in one write where the socket allows it, or else its events one by one. Returns those that a
        blocked socket has not accepted."""
        # The group sends a bundle to many sockets in several turns. Meanwhile this reader may have fallen behind,
        # caught up through the ring, which already holds the events, and become live again.
        write = self.outbox.write_frames if self.sent < bundle.first else None
        if write is not None and (pieces := bundle.pieces[self.shape]) and write(self.prefix.join(pieces)):
            self.outbox.offered += bundle.shown
            self.sent = bundle.last
            return ()
        for number, (seq, payload) in enumerate(bundle.events):
            if seq > self.sent:
                if payload is not None and not self._offer(payload):
                    return bundle.events[number:]
                self.sent = seq
        return ()

    def send_signal(self, payload: bytes) -> None:
        """Send a signal while live. A socket that would block misses it: signals are not guaranteed."""
        self.outbox.offer(self.prefix, payload, self._suffix)

    async def _catch_up(self) -> None:
        while not self.outbox.closed:
            if self.sent == self._group.position:
                # No await between the comparison and `follow`: an event that the group sends in between would be
                # neither in what this task has sent nor among the live events.
                self._group.follow(self)
                self._task = None
                return
            if self.sent > self._group.position:
                # The cursor is newer than this process: the client got it from the answer of a mutation, which can be
                # faster than the event.
                await self._group.wait_for_new_position()
                continue
            await self._send_events(await self._next_events())

    async def _next_events(self) -> list[EncodedEvent]:
        events = self._group.encoded_after(self.sent)
        # None: the ring has dropped the next event
        return await self._read_replay(self._group.position) if events is None else events

    async def _read_replay(self, goal: int) -> list[EncodedEvent]:
        return await retry_until_success(lambda: self._group.replay(self.sent, goal, self.audience))

    async def _send_events(self, events: list[EncodedEvent]) -> int:
        """Send these events, or at least the first ones. Returns the number of payloads sent."""
        shown, rest = self._send_bundles(bundles(events))
        # Many sockets may be blocked for a long time: each holds only the rest of one bundle. The caller reads the
        # others again.
        del events
        for seq, payload in rest:
            while payload is not None and not self._offer(payload):
                await self.outbox.idle()
            self.sent = seq
        return shown

    def _send_bundles(self, waiting: Sequence[Bundle]) -> tuple[int, Sequence[EncodedEvent]]:
        """Send bundles until the socket is blocked. Returns the number of payloads in those, with the last one, and
        what is not sent of the last one."""
        shown = 0
        for bundle in waiting:
            shown += bundle.shown
            if rest := self._send_now(bundle):
                return shown, rest
        return shown, ()

    def _offer(self, payload: bytes) -> bool:
        """Whether the outbox has accepted the payload, or is closed."""
        return self.outbox.offer(self.prefix, payload, self._suffix) or self.outbox.closed

    async def _send_control(self, entry: FeedEntry | None) -> None:
        if payload := await self._group.control_payload(entry, self.audience):
            while not self._offer(payload):
                await self.outbox.idle()

    def _run(self, steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._task = asyncio.create_task(self._guarded(steps), name="reader")

    async def _guarded(self, steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await steps()
        except Exception:
            logger.exception("cannot send stored events of %s; the stream ends with an error", self._group.topic_name)
            self._task = None  # `stop` would cancel the task that runs this
            self.fail(Failure.INTERNAL)

    # ------------------------------------------------------------------ ending

    def stop(self) -> None:
        """End without a control event: the client has unsubscribed or disconnected."""
        self._group.unfollow(self)
        self._group.readers.discard(self)
        for task in (self._task, self._end_task):
            if task is not None:
                task.cancel()
        self._task = self._end_task = None

    def fail(self, failure: Failure) -> None:
        """End with an error, so that the client can subscribe again."""
        if not self.is_open:
            return
        self.stop()
        if self._on_failure is None:
            self._on_end()
        else:
            self._on_failure(failure)

    def end(self, reason: Any) -> asyncio.Task[None]:
        """End from the server's side: send no further event, only the control event that names the reason and the
        position up to which this reader has sent everything. The returned task is done when it has left."""
        if self._end_task is None:
            self.stop()
            self._end_task = asyncio.create_task(self._send_ended(self.sent, reason), name="reader ends")
        return self._end_task

    async def _send_ended(self, seq: int, reason: Any) -> None:
        group, suspensions = self._group, None
        try:
            while suspensions != group.suspensions:  # the log was replaced meanwhile: name no position in the old one
                if suspensions is not None or group.is_suspended:
                    # The end of the new log is not known yet. A client that resumes from its beginning misses nothing.
                    seq, self._owes_unrecovered = 0, True
                suspensions = group.suspensions
                entries = [group.renderer.ended(seq, reason)]
                if self._owes_unrecovered:  # else the end names a position whose events were not sent
                    entries.insert(0, group.renderer.ready(seq, recovered=False, replayed_count=0))
                payloads = [await group.control_payload(entry, self.audience) for entry in entries]
            for payload in filter(None, payloads):
                self.outbox.put(self.prefix + payload + self._suffix)
        except Exception:  # the stream is over in any case
            logger.exception("cannot tell a client that its stream of %s has ended", group.topic_name)
        self._on_end()
