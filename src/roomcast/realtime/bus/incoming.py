"""The queue between the broker and broadcaster. It is bounded; an overflow is announced as a RESYNC."""

import asyncio
from collections import deque
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass

from broadcaster import Event

RESYNC = ""
"""The message of an event that means: frames may be missing, read the log. It is empty, as no frame is."""

RESYNC_CHANNEL = b"*"
"""Sent by a process that lost frames of many topics: receivers resync all topics that they joined on this channel."""

PENDING_CHARACTERS = 32_000_000
"""The limit of all waiting events together, besides the limit of their number."""

EVENTS_PER_TURN = 256


@dataclass(slots=True)
class BusStats:
    """Counters of a bus since it was made. They only rise."""

    published: int = 0  # frames the broker accepted
    dropped: int = 0  # frames it did not accept: the queue was full, or the broker was not connected
    received: int = 0  # frames handed to `on_frame`
    malformed: int = 0  # messages on our channels that are not frames
    overflows: int = 0  # times the queue was full and was emptied
    resyncs: int = 0  # calls of `on_resync`
    connects: int = 0  # sessions opened with a broker


class IncomingQueue:
    """Received events, in order, at most `limit` and PENDING_CHARACTERS of them. An overflow empties the queue and
    resyncs every channel.

    `channels` and `topics` are live views of what this process has joined. Messages of others are dropped at once.
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
        """Add a message, which may come from anybody. Only its topic is decoded before it is known to be joined."""
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
        """The next event. A RESYNC overtakes the frames, which the log holds, too."""
        # broadcaster moves events into queues without a limit. Their readers empty them whenever they get a turn on the
        # event loop. A turn after every EVENTS_PER_TURN events keeps those queues short and the limit here meaningful.
        self._handed_over = (self._handed_over + 1) % EVENTS_PER_TURN
        if self._handed_over == 0:
            await asyncio.sleep(0)
        while not (self._stale or self._pending):
            self._filled.clear()
            await self._filled.wait()
        if self._stale:
            return Event(self._stale.pop(), RESYNC)
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
