"""A group: all whose answer to an event is the same bytes. One execution and one encoding for everybody in it."""

import asyncio
import logging
from collections import deque
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from roomcast.realtime.retry import until_it_works
from roomcast.realtime.source import EVERYBODY, Entry, Failure, Script, Stored
from roomcast.realtime.turns import Turns

if TYPE_CHECKING:
    from roomcast.realtime.reader import Reader

_log = logging.getLogger("roomcast.hub")

RING = 256
"""Payloads a group keeps. Who is further behind reads the log again."""

SIGNALS = 64
"""Signals that may wait for the events before them. More: the oldest are never told."""

CHUNK = 250
"""Sockets written to before others get their turn on the loop."""

BLOCK = 64
"""Events of a replay that are read, executed and shared together."""

REPLAYS = 20
"""Readers who may be given a block before others get their turn on the loop."""

SHARED_SECONDS = 2.0
"""How long a replayed block serves others. Short: what it shows may have been edited since."""

Shown = tuple[int, bytes | None]


class Feed(Protocol):
    """What a group needs of its topic."""

    name: str
    position: int

    def since(self, seq: int) -> Sequence[Entry] | None: ...


class Group:
    def __init__(self, key: Hashable, feed: Feed, script: Script, source: Stored) -> None:
        self.key, self.script = key, script
        self.position = feed.position
        self.readers: set[Reader] = set()
        self.executions = self.deliveries = 0
        self.is_suspended = False
        self._live: dict[Reader, None] = {}
        self._feed, self._source = feed, source
        self._ring: deque[Shown] = deque(maxlen=RING)
        self._signals: deque[Any] = deque(maxlen=SIGNALS)
        self._blocks: dict[tuple[int, int], asyncio.Task[list[Shown]]] = {}
        self._replays = Turns(REPLAYS)
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    @property
    def topic_name(self) -> str:
        return self._feed.name

    def wake(self) -> None:
        """The topic has moved on."""
        if self._task is None and not self.is_suspended and (self._signals or self.position < self._feed.position):
            self._task = asyncio.create_task(self._run(), name=f"group {self._feed.name}")

    def signal(self, signal: Any) -> None:
        """Something that is in no log: told to who is live, after all that the topic has had so far."""
        if self._live:
            self._signals.append(signal)
            self.wake()

    def follow(self, reader: "Reader") -> None:
        """From here on the reader, who has seen all up to `position`, gets each payload as it is made."""
        self._live[reader] = None

    def unfollow(self, reader: "Reader") -> None:
        self._live.pop(reader, None)

    def since(self, seq: int) -> list[Shown] | None:
        """What was shown after seq; None if some of it has left the ring."""
        missing = self.position - seq
        if missing > len(self._ring):
            return None
        return list(self._ring)[len(self._ring) - missing :] if missing > 0 else []

    async def moved(self) -> None:
        """Return when `position` has risen."""
        await self._moved.wait()

    async def replay(self, seq: int, upto: int, _person: Hashable) -> list[Shown]:
        """What the log holds after seq, up to the end of its block or `upto`. Shared by all who ask at that time."""
        start = seq // BLOCK * BLOCK
        end = min(start + BLOCK, upto)
        shown = await asyncio.shield(self._block(start, end))
        await self._replays.take()
        return [(at, payload) for at, payload in shown if at > seq]

    async def told(self, words: Entry | None, _person: Hashable) -> bytes | None:
        """The payload of words that one reader is told; None for streams without them."""
        return (await self._show([words], EVERYBODY))[0] if words else None

    def forget_replays(self) -> None:
        """Something in the past has changed: show nobody a stale copy of it."""
        self._blocks.clear()

    def suspend(self) -> None:
        """The log has become another one: show nothing more until `restart`."""
        self.is_suspended = True
        for task in self._tasks():
            task.cancel()
        self._task = None
        self._blocks.clear()
        self._ring.clear()
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
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tasks(self) -> list[asyncio.Task[Any]]:
        return [*self._blocks.values(), *([self._task] if self._task is not None else [])]

    def _block(self, start: int, end: int) -> "asyncio.Task[list[Shown]]":
        if (start, end) not in self._blocks:
            task = asyncio.create_task(self._read(start, end), name=f"replay {self._feed.name}")
            self._blocks[start, end] = task
            task.add_done_callback(_retrieve)
            asyncio.get_running_loop().call_later(SHARED_SECONDS, self._forget_block, (start, end), task)
        return self._blocks[start, end]

    def _forget_block(self, key: tuple[int, int], task: "asyncio.Task[list[Shown]]") -> None:
        if self._blocks.get(key) is task and task.done():
            del self._blocks[key]
        elif self._blocks.get(key) is task:  # the log does not answer: who waits for it still shares one question
            asyncio.get_running_loop().call_later(SHARED_SECONDS, self._forget_block, key, task)

    async def _read(self, start: int, end: int) -> list[Shown]:
        try:
            return await self._stored(start, end, EVERYBODY)
        except BaseException:
            if self._blocks.get((start, end)) is asyncio.current_task():
                del self._blocks[start, end]  # the next one to ask tries again
            raise

    async def _stored(self, start: int, end: int, person: Hashable) -> list[Shown]:
        entries = await self._source.after(self._feed.name, start, end - start)
        if len(entries) < end - start:
            raise LookupError("the log ends before the topic does")
        self.executions += sum(entry.event is not None for entry in entries)
        payloads = await self._show(entries, person, replayed=True)
        return [(entry.seq, payload) for entry, payload in zip(entries, payloads, strict=True)]

    async def _show(
        self, entries: Sequence[Entry], person: Hashable, *, replayed: bool = False
    ) -> Sequence[bytes | None]:
        async with self.script.show(entries, replayed=replayed) as showing:
            return (await showing.to([person]))[person]

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
        entries = await self._next()
        self.executions += len(entries)
        for entry, payload in zip(entries, await self._show(entries, EVERYBODY), strict=True):
            await self._hand_out(entry.seq, payload)

    async def _tell(self, signal: Any) -> None:
        self.executions += 1
        [payload] = await self._show([self.script.signal(signal, self.position)], EVERYBODY)
        if payload is None:
            return
        self.deliveries += len(self._live)
        for number, reader in enumerate(list(self._live), 1):
            if reader in self._live:
                reader.hear(payload)
            if number % CHUNK == 0:
                await asyncio.sleep(0)

    async def _next(self) -> Sequence[Entry]:
        return self._feed.since(self.position) or await self._reread()

    async def _reread(self) -> Sequence[Entry]:
        """This group was so busy that the topic's ring has moved on."""
        return await until_it_works(lambda: self._source.after(self._feed.name, self.position, BLOCK))

    def _move(self, seq: int) -> None:
        self.position = seq
        self._moved.set()
        self._moved.clear()

    async def _hand_out(self, seq: int, payload: bytes | None) -> None:
        self._ring.append((seq, payload))
        self._move(seq)
        if payload is None:
            return
        self.deliveries += len(self._live)
        for number, reader in enumerate(list(self._live), 1):
            if reader in self._live:
                reader.take(seq, payload)
            if number % CHUNK == 0:
                await asyncio.sleep(0)


def _retrieve(task: "asyncio.Task[list[Shown]]") -> None:
    """Those who waited for it may have gone: then nobody else asks for its exception, and asyncio would log it."""
    if not task.cancelled():
        task.exception()
