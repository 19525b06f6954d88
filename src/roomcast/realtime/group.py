"""A group: the readers of a topic that receive the same bytes. Each event is executed and encoded once for all."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

from prometheus_client import Histogram

from roomcast import tracing
from roomcast.realtime.bundle import EncodedEvent, bundles
from roomcast.realtime.fair_limiter import FairLimiter
from roomcast.realtime.fan_out import signal_to_all, write_to_all
from roomcast.realtime.ports import EVERYBODY, EventStore, Failure, Feed, FeedEntry, GroupMember, Renderer
from roomcast.realtime.replay_cache import ReplayCache
from roomcast.realtime.retry import retry_until_success
from roomcast.realtime.ring import ByteBudget, Ring

logger = logging.getLogger("roomcast.hub")

DELIVERY_SECONDS = Histogram(
    "roomcast_delivery_seconds",
    "From the time of an event, which its transaction sets, until the last live socket of a group has it.",
    registry=None,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Between two machines it includes the difference of their clocks."""

RING = 256
"""Payloads that a group keeps, within the bytes of a `Ring`. A reader that is further behind reads the log again."""

SIGNALS = 64
"""Signals that wait for the events before them. With more, the oldest are dropped."""

SOCKETS_PER_TURN = 250
"""Sockets written to before other tasks get a turn on the event loop."""

BLOCK = 64
"""Events of a replay that are read, executed and shared together; fewer if they are large."""

BLOCK_BYTES = 1024 * 1024
"""The approximate size of the payloads that are made at one time."""

FIRST_BATCH = 4
"""Events rendered together by a group that has made no payload yet: their size is not known."""

LARGE_BYTES = 64 * 1024
"""Payloads that are made together and have this size take their time from the process's `Pacer`."""

REPLAYS_PER_TURN = 20
"""Readers that get a block before other tasks get a turn on the event loop."""


class Group:
    """`feed` gives the entries, `source` those that are no longer in memory. `budget` limits the bytes that all groups
    of the process hold.

    `expected`: the log has reached this seq, as a reader knew when it started. `position` may still be behind.

    A live reader gets each payload as it is made. All others read `encoded_after` and `replay` at their own pace.
    """

    def __init__(
        self, key: Hashable, feed: Feed, renderer: Renderer, source: EventStore, budget: ByteBudget | None = None
    ) -> None:
        budget = budget or ByteBudget()
        self.key, self.renderer = key, renderer
        self.position = self.expected = feed.position
        self.readers: set[GroupMember] = set()
        self.executions = self.deliveries = self.suspensions = 0
        self.is_suspended = False
        self._live: dict[GroupMember, None] = {}
        self._feed, self._source = feed, source
        self._ring: Ring[EncodedEvent] = Ring(RING, budget)
        self._pacer, self._first_payloads = budget.pacer, budget.first_payloads
        self._largest: int | None = None
        self._bytes_to_pace = 0
        self._signals: deque[Any] = deque(maxlen=SIGNALS)
        self._blocks = ReplayCache(feed.name, partial(self._read_range, viewer=EVERYBODY), budget)
        self._replays = FairLimiter(REPLAYS_PER_TURN)
        self._task: asyncio.Task[None] | None = None
        self._position_changed = asyncio.Event()

    @property
    def topic_name(self) -> str:
        return self._feed.name

    def schedule(self) -> None:
        """Start the task that sends new events and signals, if there are any and it is not running."""
        if self._task is None and not self.is_suspended and (self._signals or self.position < self._feed.position):
            self._task = asyncio.create_task(self._run(), name=f"group {self._feed.name}")

    def send_signal(self, signal: Any) -> None:
        """Send something that is in no log to the live readers, after all events that the topic has so far."""
        if self._live:
            self._signals.append(signal)
            self.schedule()

    # ------------------------------------------------------------------ readers

    def follow(self, reader: GroupMember) -> None:
        """Send each new payload to this reader. It must have everything up to `position`, and must not have waited
        since it compared: an event that is sent between would be lost for it."""
        self._live[reader] = None

    def unfollow(self, reader: GroupMember) -> None:
        self._live.pop(reader, None)

    def encoded_after(self, seq: int) -> list[EncodedEvent] | None:
        """The events after `seq`. None if some of them have left the ring."""
        return self._ring.last(self.position - seq)

    async def wait_for_new_position(self) -> None:
        """Return when `position` has risen."""
        await self._position_changed.wait()

    async def replay(self, seq: int, upto: int, _viewer: Hashable) -> list[EncodedEvent]:
        """The events of the log after `seq`, up to the end of its block or `upto`. Readers that ask for the same block
        within a short time share it."""
        size = self._block_size()
        start = seq // size * size
        events = await self._blocks.get(start, min(start + size, upto))
        await self._replays.acquire()
        return [(at, payload) for at, payload in events if at > seq]

    async def control_payload(self, entry: FeedEntry | None, _viewer: Hashable) -> bytes | None:
        """The payload of a control event for one reader. None for streams without control events."""
        return (await self._render([entry], EVERYBODY))[0] if entry else None

    def forget_replays(self) -> None:
        """An earlier event has changed: the shared blocks are out of date."""
        self._blocks.clear()

    # ------------------------------------------------------------------ when the log has lost events

    def suspend(self) -> None:
        """The log is another one from now on: send nothing until `restart`."""
        self.is_suspended = True
        self.suspensions += 1
        for task in self._clear():
            task.cancel()
        self._signals.clear()
        for reader in self.readers:
            reader.suspend()

    def restart(self) -> None:
        """Continue from the topic's present position."""
        self.is_suspended = False
        self.expected = self._feed.position
        self._set_position(self._feed.position)
        for reader in list(self.readers):
            reader.restart()

    async def close(self) -> None:
        tasks = self._clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _clear(self) -> list[asyncio.Task[Any]]:
        """Drop all payloads. Returns the tasks that are still running."""
        self._ring.clear()
        task, self._task = self._task, None
        return [*self._blocks.clear(), *([task] if task is not None else [])]

    # ------------------------------------------------------------------ reading and rendering

    async def _read_range(self, start: int, end: int, viewer: Hashable) -> list[EncodedEvent]:
        entries = await self._source.after(self._feed.name, start, end - start)
        if len(entries) < end - start:
            raise LookupError("the log ends before the topic does")
        self.executions += sum(entry.event is not None for entry in entries)
        await self._pace()
        payloads = await self._render(entries, viewer, replayed=True)
        self._record_sizes(payloads)
        return [(entry.seq, payload) for entry, payload in zip(entries, payloads, strict=True)]

    def _block_size(self) -> int:
        """Events of a block: a power of two, so that readers that start at different positions share blocks."""
        return min(BLOCK, 1 << (self._batch_size().bit_length() - 1))

    def _batch_size(self) -> int:
        """How many payloads probably fit into BLOCK_BYTES; at least one."""
        return FIRST_BATCH if self._largest is None else max(1, BLOCK_BYTES // max(1, self._largest))

    def _record_sizes(self, payloads: Sequence[bytes | None]) -> None:
        """Remember the largest payload, from which the size of the next batch is estimated, and the bytes to pace."""
        sizes = [len(payload or b"") for payload in payloads]
        self._largest = max(self._largest or 0, *sizes, 0)
        if sum(sizes) >= LARGE_BYTES:
            self._bytes_to_pace += sum(sizes)

    async def _render(
        self, entries: Sequence[FeedEntry], viewer: Hashable, *, replayed: bool = False
    ) -> Sequence[bytes | None]:
        async with self.renderer.render(entries, replayed=replayed) as render_pass:
            return (await render_pass.payloads_for([viewer]))[viewer]

    async def _pace(self) -> None:
        """Wait until the large payloads that this group has made last have had their time. Their size is known only
        afterwards. Call it before a render pass, which may hold a database connection."""
        if self._largest is None:
            await self._first_payloads.acquire()
        elif self._bytes_to_pace:
            size, self._bytes_to_pace = self._bytes_to_pace, 0
            viewers = {reader.audience for reader in self.readers}
            # A viewer's own documents share one turn, in all rooms together.
            await self._pacer.wait(next(iter(viewers)) if len(viewers) == 1 else self.topic_name, size)

    async def _next_entries(self) -> Sequence[FeedEntry]:
        if entries := self._feed.entries_after(self.position):
            return entries
        return await retry_until_success(self._read_next_entries)

    async def _read_next_entries(self) -> Sequence[FeedEntry]:
        """The next entries from the log: this group was so slow that the topic's ring has dropped them."""
        entries = await self._source.after(self._feed.name, self.position, BLOCK)
        if not entries:
            raise LookupError("the log ends before the topic does")
        return entries

    # ------------------------------------------------------------------ sending

    async def _run(self) -> None:
        try:
            while self._signals or self.position < self._feed.position:
                # Events first: a signal follows all events that the topic had when it came.
                if self.position < self._feed.position:
                    await self._send_next()
                else:
                    await self._render_signal(self._signals.popleft())
        except Exception:  # without this the readers would wait for ever
            logger.exception("cannot send the events of %s; its streams end with an error", self.topic_name)
            for reader in list(self.readers):
                reader.fail(Failure.INTERNAL)
        finally:
            if self._task is asyncio.current_task():  # `suspend` may have given the place to a later task
                self._task = None

    async def _send_next(self) -> None:
        began_ns = time.time_ns()
        entries = (await self._next_entries())[: self._batch_size()]
        await self._pace()
        self.executions += len(entries)
        payloads = await self._render(entries, EVERYBODY)
        self._record_sizes(payloads)
        unsent = iter(entries)
        for bundle in bundles((entry.seq, payload) for entry, payload in zip(entries, payloads, strict=True)):
            # The ring and the position change before the first socket is written to, without a wait: a reader that is
            # behind finds the events in the ring, and one that joins at the new position does not get them twice.
            for event in bundle.events:
                self._ring.append(event, len(event[1] or b""))
            self._set_position(bundle.last)
            if bundle.shown:
                await self._send_in_turns(partial(write_to_all, bundle), bundle.shown)
            for (_, payload), entry in zip(bundle.events, unsent, strict=False):
                if payload is not None:
                    self._observe_delivery(entry, began_ns)

    async def _send_in_turns(self, send: Callable[[Sequence[GroupMember]], None], payloads: int) -> None:
        """Call `send` with all live readers, some of them at a time. `payloads`: how many it sends to each."""
        live = list(self._live)
        self.deliveries += len(live) * payloads
        for start in range(0, len(live), SOCKETS_PER_TURN):
            if start:
                await asyncio.sleep(0)
            # Some may have stopped or fallen behind while others had their turn.
            send([reader for reader in live[start : start + SOCKETS_PER_TURN] if reader in self._live])

    def _observe_delivery(self, entry: FeedEntry, began_ns: int) -> None:
        """All live readers have the event. `began_ns`: when this group began to render it."""
        if entry.trace is not None:
            attributes = {"roomcast.topic": self.topic_name, "roomcast.sockets": len(self._live)}
            tracing.record("deliver", began_ns, entry.trace, "CONSUMER", attributes)
        if entry.at and self._live:
            DELIVERY_SECONDS.observe(max(0.0, time.time() - entry.at))

    async def _render_signal(self, signal: Any) -> None:
        self.executions += 1
        [payload] = await self._render([self.renderer.signal(signal, self.position)], EVERYBODY)
        if payload is not None:
            await self._send_in_turns(partial(signal_to_all, payload), 1)

    def _set_position(self, seq: int) -> None:
        self.position = seq
        self._position_changed.set()
        self._position_changed.clear()
