"""A group: all whose answer to an event is the same bytes. One execution and one encoding for everybody in it."""

import asyncio
import logging
from collections import deque
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from roomcast.realtime.fair_limiter import FairLimiter
from roomcast.realtime.ports import EVERYBODY, EventStore, Failure, FeedEntry, Renderer
from roomcast.realtime.replay_cache import ReplayCache, Shown
from roomcast.realtime.retry import retry_until_success
from roomcast.realtime.ring import ByteBudget, Ring

if TYPE_CHECKING:
    from roomcast.realtime.reader import Reader

_log = logging.getLogger("roomcast.hub")

RING = 256
"""Payloads a group keeps, within the bytes of a `Ring`. Who is further behind reads the log again."""

SIGNALS = 64
"""Signals that may wait for the events before them. More: the oldest are never told."""

CHUNK = 250
"""Sockets written to before others get their turn on the loop."""

BLOCK = 64
"""Events of a replay that are read, executed and shared together; fewer if they are large."""

BLOCK_BYTES = 1024 * 1024
"""About what the payloads may come to that are made at one time."""

FIRST_SHOWN = 4
"""Events that are shown together by a group that has made no payload yet: they may be large."""

REPLAYS = 20
"""Readers who may be given a block before others get their turn on the loop."""


class Feed(Protocol):
    """What a group needs of its topic."""

    name: str
    position: int

    def since(self, seq: int) -> Sequence[FeedEntry] | None: ...


class Group:
    """`budget`: of the bytes that all groups of the process hold."""

    def __init__(
        self, key: Hashable, feed: Feed, script: Renderer, source: EventStore, budget: ByteBudget | None = None
    ) -> None:
        budget = budget or ByteBudget()
        self.key, self.script = key, script
        self.position = feed.position
        self.readers: set[Reader] = set()
        self.executions = self.deliveries = 0
        self.is_suspended = False
        self._live: dict[Reader, None] = {}
        self._feed, self._source = feed, source
        self._ring: Ring[Shown] = Ring(RING, budget)
        self._largest: int | None = None
        self._signals: deque[Any] = deque(maxlen=SIGNALS)
        self._blocks = ReplayCache(feed.name, self._read, budget)
        self._replays = FairLimiter(REPLAYS)
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    @property
    def topic_name(self) -> str:
        return self._feed.name

    def schedule(self) -> None:
        """The topic has moved on."""
        if self._task is None and not self.is_suspended and (self._signals or self.position < self._feed.position):
            self._task = asyncio.create_task(self._run(), name=f"group {self._feed.name}")

    def signal(self, signal: Any) -> None:
        """Something that is in no log: told to who is live, after all that the topic has had so far."""
        if self._live:
            self._signals.append(signal)
            self.schedule()

    def follow(self, reader: "Reader") -> None:
        """From here on the reader, who has seen all up to `position`, gets each payload as it is made."""
        self._live[reader] = None

    def unfollow(self, reader: "Reader") -> None:
        self._live.pop(reader, None)

    def since(self, seq: int) -> list[Shown] | None:
        """What was shown after seq; None if some of it has left the ring."""
        return self._ring.last(self.position - seq)

    async def moved(self) -> None:
        """Return when `position` has risen."""
        await self._moved.wait()

    async def replay(self, seq: int, upto: int, _person: Hashable) -> list[Shown]:
        """What the log holds after seq, up to the end of its block or `upto`. Shared by all who ask at that time."""
        size = self._block_size()
        start = seq // size * size
        shown = await self._blocks.get(start, min(start + size, upto))
        await self._replays.acquire()
        return [(at, payload) for at, payload in shown if at > seq]

    async def control_payload(self, words: FeedEntry | None, _person: Hashable) -> bytes | None:
        """The payload of words that one reader is told; None for streams without them."""
        return (await self._show([words], EVERYBODY))[0] if words else None

    def forget_replays(self) -> None:
        """Something in the past has changed: show nobody a stale copy of it."""
        self._blocks.clear()

    def suspend(self) -> None:
        """The log has become another one: show nothing more until `restart`."""
        self.is_suspended = True
        for task in self._let_go():
            task.cancel()
        self._signals.clear()
        for reader in self.readers:
            reader.suspend()

    def restart(self) -> None:
        """Go on from where the topic is now; what was shown before counts no more."""
        self.is_suspended = False
        self._move(self._feed.position)
        for reader in list(self.readers):
            reader.restart()

    async def close(self) -> None:
        tasks = self._let_go()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _let_go(self) -> list[asyncio.Task[Any]]:
        """Hold nothing any more. What is still under way."""
        self._ring.clear()
        task, self._task = self._task, None
        return [*self._blocks.clear(), *([task] if task is not None else [])]

    async def _read(self, start: int, end: int) -> list[Shown]:
        return await self._stored(start, end, EVERYBODY)

    async def _stored(self, start: int, end: int, person: Hashable) -> list[Shown]:
        entries = await self._source.after(self._feed.name, start, end - start)
        if len(entries) < end - start:
            raise LookupError("the log ends before the topic does")
        self.executions += sum(entry.event is not None for entry in entries)
        payloads = await self._show(entries, person, replayed=True)
        self._measure(payloads)
        return [(entry.seq, payload) for entry, payload in zip(entries, payloads, strict=True)]

    def _block_size(self) -> int:
        """Events of a block: a power of two, so that readers who begin at different places come to share blocks."""
        return min(BLOCK, 1 << (self._fitting().bit_length() - 1))

    def _fitting(self) -> int:
        """How many payloads are likely to come to no more than BLOCK_BYTES; one at least."""
        return FIRST_SHOWN if self._largest is None else max(1, BLOCK_BYTES // max(1, self._largest))

    def _measure(self, payloads: Sequence[bytes | None]) -> None:
        """The largest payload so far tells how large the next ones may be."""
        largest = max((len(payload or b"") for payload in payloads), default=0)
        self._largest = max(self._largest or 0, largest)

    async def _show(
        self, entries: Sequence[FeedEntry], person: Hashable, *, replayed: bool = False
    ) -> Sequence[bytes | None]:
        async with self.script.render(entries, replayed=replayed) as showing:
            return (await showing.payloads_for([person]))[person]

    async def _run(self) -> None:
        try:
            while self._signals or self.position < self._feed.position:
                if self.position < self._feed.position:
                    await self._show_next()
                else:
                    await self._tell(self._signals.popleft())
        except Exception:  # its readers would wait for ever
            _log.exception("a group of %s failed", self.topic_name)
            for reader in list(self.readers):
                reader.fail(Failure.INTERNAL)
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    async def _show_next(self) -> None:
        entries = (await self._next())[: self._fitting()]
        self.executions += len(entries)
        payloads = await self._show(entries, EVERYBODY)
        self._measure(payloads)
        for entry, payload in zip(entries, payloads, strict=True):
            await self._hand_out(entry.seq, payload)

    async def _tell(self, signal: Any) -> None:
        self.executions += 1
        [payload] = await self._show([self.script.signal(signal, self.position)], EVERYBODY)
        if payload is None:
            return
        self.deliveries += len(self._live)
        for number, reader in enumerate(list(self._live), 1):
            if reader in self._live:
                reader.send_signal(payload)
            if number % CHUNK == 0:
                await asyncio.sleep(0)

    async def _next(self) -> Sequence[FeedEntry]:
        return self._feed.since(self.position) or await self._reread()

    async def _reread(self) -> Sequence[FeedEntry]:
        """This group was so busy that the topic's ring has moved on."""

        async def read() -> Sequence[FeedEntry]:
            entries = await self._source.after(self._feed.name, self.position, BLOCK)
            if not entries:
                raise LookupError("the log ends before the topic does")
            return entries

        return await retry_until_success(read)

    def _move(self, seq: int) -> None:
        self.position = seq
        self._moved.set()
        self._moved.clear()

    async def _hand_out(self, seq: int, payload: bytes | None) -> None:
        self._ring.append((seq, payload), len(payload or b""))
        self._move(seq)
        if payload is None:
            return
        self.deliveries += len(self._live)
        for number, reader in enumerate(list(self._live), 1):
            if reader in self._live:
                reader.send_event(seq, payload)
            if number % CHUNK == 0:
                await asyncio.sleep(0)
