"""What came from the broker and waits for broadcaster: bounded, and what is lost here is owned up to as a RESYNC."""

import asyncio
from collections import deque
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass

from broadcaster import Event

RESYNC = ""
"""The message of an event that says: frames may be missing, read the log. No frame is empty, so none can fake it."""

RESYNC_CHANNEL = b"*"
"""What a process sends that lost frames of many topics: receivers resync all that they joined on this channel."""

PENDING_CHARACTERS = 32_000_000
"""What may wait besides the number of events."""

EVENTS_PER_TURN = 256


@dataclass(slots=True)
class BusStats:
    """What a bus has done since it was made; only ever rising."""

    published: int = 0  # frames the broker took
    dropped: int = 0  # frames it did not: the queue was full or the broker away
    received: int = 0  # frames handed to `on_frame`
    malformed: int = 0  # messages on our channels that are no frames
    overflows: int = 0  # times the inbox was full and emptied
    resyncs: int = 0  # calls of `on_resync`
    connects: int = 0  # sessions opened with a broker


class IncomingQueue:
    """Events in the order they came, at most `limit` and PENDING_CHARACTERS of them; an overflow empties it and resyncs
    every channel.

    `channels` and `topics` are live views of what this process wants: everything else is dropped at the door.
    """

    def __init__(self, channels: Collection[str], topics: Container[str], stats: BusStats, limit: int) -> None:
        self.stats = stats
        self._channels = channels
        self._topics = topics
        self._limit = limit
        self._pending: deque[Event] = deque()
        self._characters = 0
        self._stale: set[str] = set()
        self._filled = asyncio.Event()
        self._handed_over = 0

    def emit(self, channel: str, message: bytes) -> None:
        """A message came in, from anybody. Only its topic is decoded before it is known to be wanted."""
        if message == RESYNC_CHANNEL:
            self.resync([channel])
            return
        try:
            topic = message.partition(b"\n")[0].decode()
            if topic in self._topics:
                self._put(Event(channel, message.decode()))
        except UnicodeDecodeError:
            self.stats.malformed += 1

    def resync(self, channels: Iterable[str]) -> None:
        """Frames of these channels may have been missed until now."""
        self._stale.update(channel for channel in channels if channel in self._channels)
        self._filled.set()

    async def next_event(self) -> Event:
        """The next event; a RESYNC overtakes frames, which the log holds as well."""
        await self._pause()
        while not (self._stale or self._pending):
            self._filled.clear()
            await self._filled.wait()
        return Event(self._stale.pop(), RESYNC) if self._stale else self._next()

    def _next(self) -> Event:
        event = self._pending.popleft()
        self._characters -= len(event.message)
        return event

    def _put(self, event: Event) -> None:
        if len(self._pending) < self._limit and self._characters < PENDING_CHARACTERS:
            self._pending.append(event)
            self._characters += len(event.message)
        else:
            self._pending.clear()
            self._characters = 0
            self._stale.update(self._channels)
            self.stats.overflows += 1
        self._filled.set()

    async def _pause(self) -> None:
        # broadcaster moves events on into queues without a bound. Its readers empty those whenever they get a turn, so
        # a turn after every portion keeps the queues short, the bound here meaningful and the event loop responsive.
        self._handed_over = (self._handed_over + 1) % EVENTS_PER_TURN
        if self._handed_over == 0:
            await asyncio.sleep(0)
