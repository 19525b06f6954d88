"""Watchers: objects that need to know that something happened to a topic, and then read for themselves what it was."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from roomcast.realtime.bus.bus import Frame
from roomcast.realtime.ports import Epoch
from roomcast.realtime.tails import Tails, has_lost

CHECK_SECONDS = 2.0
"""How often the tails of the watched logs are compared with the frames that arrived."""

TOPICS_A_SECOND = 5_000
"""The most tails that are read in a second. With more than twice as many topics the checks are further apart, so that
they stay a small part of the work."""

GRACE_SECONDS = 0.5
"""A frame may arrive this much later than its event appears in the log."""

MAX_COMMITTED = 200
"""Topics that this process has written to most recently. It checks that the log still holds those events: a failover
that loses events loses the newest."""

MAX_EARLY = 100
"""Frames after a gap that are remembered for each topic. With more, the gap is announced even if it closes."""

logger = logging.getLogger("roomcast.watch")


class Watcher(Protocol):
    """All methods are called on the event loop and must return quickly."""

    def on_message(self, frame: Frame) -> None:
        """Something happened to a topic."""

    def on_missed(self, topic: str) -> None:
        """An event of this topic was committed, but its frame did not arrive."""

    def on_resync(self, *, is_replaced: bool = False) -> None:
        """Frames of any topic may have been lost. `is_replaced`: positions in the logs from before mean nothing now."""

    def position_of(self, topic: str) -> int | None:
        """The position in the topic's log up to which the watcher knows the events. None if it does not know."""


class TopicProgress:
    """How far the frames of a topic arrived without a gap: `position`, None while that is not known. `tail`: the tail
    of its log when it was read last."""

    __slots__ = ("_early", "is_deleted", "position", "tail")

    def __init__(self) -> None:
        self.position: int | None = None
        self.tail = 0
        self.is_deleted = False
        self._early: set[int] = set()

    def on_seq(self, seq: int) -> None:
        if self.position is not None and seq == self.position + 1:
            self.advance_to(seq)
        elif (self.position is None or seq > self.position) and len(self._early) < MAX_EARLY:
            self._early.add(seq)

    def advance_to(self, position: int) -> None:
        """Everything up to `position` is known. Add the frames that arrived early and follow it without a gap."""
        while position + 1 in self._early:
            position += 1
        self.position, self.is_deleted = position, False
        if self._early:
            self._early = {seq for seq in self._early if seq > position}

    def reset(self) -> None:
        self.position = None
        self._early.clear()


class WatcherRegistry:
    """The watchers of this process and their topics. `join` and `leave` tell the bus.

    `tails` reads the newest seq of topics; a deleted topic is missing. `has_log` tells whether a topic has a log.
    With `tails`, a lost frame is noticed: `on_missed` follows within CHECK_SECONDS + GRACE_SECONDS. A log that has lost
    events is noticed, too, for the watched topics and for those that this process has written to: `epoch` is renewed.
    """

    def __init__(
        self,
        join: Callable[[str], None],
        leave: Callable[[str], None],
        tails: Tails | None = None,
        has_log: Callable[[str], bool] = lambda topic: True,
        epoch: Epoch | None = None,
    ) -> None:
        self._join, self._leave = join, leave
        self._tails, self._has_log, self._epoch = tails, has_log, epoch
        self._watchers: dict[str, set[Watcher]] = {}
        self._progress: dict[str, TopicProgress] = {}
        self._committed: OrderedDict[str, int] = OrderedDict()
        self._check_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._tails is not None:
            self._check_task = asyncio.create_task(self._check_periodically(self._tails), name="watched tails")

    async def stop(self) -> None:
        if self._check_task is not None:
            self._check_task.cancel()
            await asyncio.wait([self._check_task])

    def follow(self, watcher: Watcher, topic: str) -> None:
        """Watch a topic from now on. The first watcher of a topic gets `on_resync` once the bus has joined it, because
        earlier frames may have been missed."""
        watchers = self._watchers.setdefault(topic, set())
        if not watchers:
            self._join(topic)
            if self._tails is not None and self._has_log(topic):
                self._progress[topic] = TopicProgress()
        watchers.add(watcher)

    def unfollow(self, watcher: Watcher, topics: Collection[str]) -> None:
        for topic in topics:
            watchers = self._watchers.get(topic, set())
            watchers.discard(watcher)
            if topic in self._watchers and not watchers:
                del self._watchers[topic]
                self._progress.pop(topic, None)
                self._leave(topic)

    @property
    def topics(self) -> Collection[str]:
        return self._watchers.keys()

    # ------------------------------------------------------------------ callbacks of the bus

    def on_frame(self, frame: Frame) -> None:
        if frame.seq and (progress := self._progress.get(frame.topic)):
            self._start_from_watchers(frame.topic, progress)
            progress.on_seq(frame.seq)
        for watcher in tuple(self._watchers.get(frame.topic, ())):
            try:
                watcher.on_message(frame)
            except Exception:  # a frame of another release or of a stranger: the other watchers go on
                logger.warning("cannot read a frame of %s", frame.topic)
                watcher.on_resync()

    def on_resync(self, topics: Collection[str], *, is_replaced: bool = False) -> None:
        for topic in topics:
            if progress := self._progress.get(topic):
                progress.reset()
        for watcher in {watcher for topic in topics for watcher in self._watchers.get(topic, ())}:
            watcher.on_resync(is_replaced=is_replaced)

    # ------------------------------------------------------------------ when the log has lost events

    def note_committed(self, ends: Iterable[tuple[str, int]]) -> None:
        """Remember that this process has committed events up to these seqs."""
        for topic, seq in ends:
            self._committed[topic] = max(seq, self._committed.get(topic, 0))
            self._committed.move_to_end(topic)
        while len(self._committed) > MAX_COMMITTED:
            self._committed.popitem(last=False)

    def restart(self) -> None:
        """Another epoch has begun."""
        self._committed.clear()
        for progress in self._progress.values():
            progress.tail = 0
        self.on_resync(list(self._watchers), is_replaced=True)

    # ------------------------------------------------------------------ checking tails

    async def _check_periodically(self, tails: Tails) -> None:
        is_failing = False
        while True:
            await asyncio.sleep(max(CHECK_SECONDS, len(self._progress) / TOPICS_A_SECOND))
            try:
                await self._check_tails(tails)
                is_failing = False
            except Exception as error:  # the next check reads them again
                if not is_failing:  # log the first of several failures in a row
                    logger.warning("cannot read the event log, trying again: %s", type(error).__name__)
                is_failing = True

    async def _check_tails(self, read: Tails) -> None:
        """Announce lost frames: their events are in the log, and they have not arrived GRACE_SECONDS later."""
        checked = dict(self._progress)
        # The seq that each log has reached for certain: read before, or committed by this process.
        ends = {name: progress.tail for name, progress in checked.items()}
        ends |= {name: max(seq, ends.get(name, 0)) for name, seq in self._committed.items()}
        if not ends:
            return
        since = self._epoch.current if self._epoch is not None else None
        tails = await read(ends)
        if self._epoch is not None and await has_lost(ends, tails, read):
            logger.error("the log has lost events, probably by a failover of the database")
            await self._epoch.renew(since)
        if self._epoch is not None and self._epoch.current != since:
            return
        for name, progress in checked.items():
            progress.tail = tails.get(name, 0)
            self._start_from_watchers(name, progress)
        ahead = {name: progress for name, progress in checked.items() if _is_ahead(progress, tails.get(name))}
        if not ahead:
            return
        await asyncio.sleep(GRACE_SECONDS)
        for name, progress in ahead.items():
            if self._progress.get(name) is progress and _is_ahead(progress, tails.get(name)):
                self._announce_missed(name, progress, tails.get(name))

    def _start_from_watchers(self, name: str, progress: TopicProgress) -> None:
        """Without a known position, start from the watcher that knows least of the topic."""
        if progress.position is None:
            positions = [watcher.position_of(name) for watcher in self._watchers.get(name, ())]
            if known := [position for position in positions if position is not None]:
                progress.advance_to(min(known))

    def _announce_missed(self, name: str, progress: TopicProgress, tail: int | None) -> None:
        if tail is None:
            progress.is_deleted = True
        else:
            progress.advance_to(tail)
        for watcher in tuple(self._watchers[name]):
            watcher.on_missed(name)


def _is_ahead(progress: TopicProgress, tail: int | None) -> bool:
    """Whether the log holds events whose frames have not arrived. `tail` is None for a deleted topic."""
    if tail is None:
        return not progress.is_deleted
    return progress.position is None or tail > progress.position
