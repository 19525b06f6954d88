"""Delivery within this process: topic → groups → sockets, with one execution per group and event.

The bus makes delivery fast, the log makes it complete. A frame is used only if it is exactly the next one. A gap is
filled from the log. Once a second the tails of the served topics are read: this finds a lost frame that no other frame
follows.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any

from roomcast.realtime.bus.bus import Frame
from roomcast.realtime.group import Group
from roomcast.realtime.ports import Epoch, FeedEntry, Renderer, Source
from roomcast.realtime.reader import Reader, Subscriber
from roomcast.realtime.retry import retry_until_success
from roomcast.realtime.ring import ByteBudget
from roomcast.realtime.tails import has_lost
from roomcast.realtime.topic import Topic

TAIL_SECONDS = 1.0
"""How often the tails of the served topics are read."""

logger = logging.getLogger("roomcast.hub")


class Hub:
    """`join` and `leave` tell the bus which topics are served here. `epoch` is renewed when the log has lost events,
    and its owner then calls `restart`; without an epoch, the hub restarts by itself. `budget` limits the bytes that are
    held for readers that are behind."""

    def __init__(
        self,
        source: Source,
        join: Callable[[str], None],
        leave: Callable[[str], None],
        epoch: Epoch | None = None,
        budget: ByteBudget | None = None,
    ) -> None:
        self._budget = budget or ByteBudget()
        self._source, self._join, self._leave = source, join, leave
        self._epoch = epoch
        self._generation = 0
        self._restarting: asyncio.Task[None] | None = None
        self._topics: dict[str, Topic] = {}
        self._opening: dict[str, asyncio.Task[Topic | None]] = {}
        self._tail_task: asyncio.Task[None] | None = None
        self._claims: Counter[str] = Counter()
        self._background: set[asyncio.Task[None]] = set()
        self.malformed = self.failed = 0
        self._tails_fail = False
        self._totals_of_closed: Counter[str] = Counter()

    async def start(self) -> None:
        self._tail_task = asyncio.create_task(self._check_tails_periodically(), name="tails")

    async def stop(self) -> None:
        if self._tail_task is not None:
            self._tail_task.cancel()
            await asyncio.wait([self._tail_task])
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.wait([self._restarting])
        topics, self._topics = list(self._topics.values()), {}
        for opening in self._opening.values():
            opening.cancel()
        closing = [*(topic.close() for topic in topics), *self._opening.values(), *self._background]
        await asyncio.gather(*closing, return_exceptions=True)

    # ------------------------------------------------------------------ subscribing

    @asynccontextmanager
    async def topic(self, name: str) -> AsyncIterator[Topic | None]:
        """The topic, None if it is deleted. A topic that has no reader at the end of the block is closed.

        The bus is joined before the tail is read: an event that is committed between the two would be missed otherwise.
        A claim keeps the topic open, so that it is not closed between its opening and its first reader. The opening is
        shielded: others may wait for it when this caller is cancelled.
        """
        self._claims[name] += 1
        try:
            if name not in self._topics and name not in self._opening:
                self._opening[name] = asyncio.create_task(self._open(name), name=f"open {name}")
            topic = self._topics.get(name) or await asyncio.shield(self._opening[name])
            while self._restarting is not None:
                await asyncio.wait([self._restarting])
            yield topic
        finally:
            self._claims[name] -= 1
            if not self._claims[name]:
                del self._claims[name]
                if name in self._topics:
                    self.release(self._topics[name])

    async def _open(self, name: str) -> Topic | None:
        self._join(name)
        topic = generation = None
        try:
            while generation != self._generation:  # `restart` came during the read: the tail is of the replaced log
                generation = self._generation
                tails = await retry_until_success(lambda: self._source.tails([name]))
            tail = tails.get(name)
            if tail is not None and name in self._claims:
                topic = self._topics[name] = Topic(name, tail, self._source, self._on_diverged, self._budget)
            return topic
        finally:
            del self._opening[name]
            if topic is None:
                self._leave(name)

    def attach(
        self,
        topic: Topic,
        key: Hashable,
        make_renderer: Callable[[], Renderer],
        subscriber: Subscriber,
        after: int | None = None,
    ) -> Reader:
        """Add a reader to the topic's group with this key. `make_renderer` is called for the first reader of a group.
        `after`: the position that the reader will start after, if that is not the present one.

        The caller starts the reader, and calls `detach` when it has ended for any reason."""
        return Reader(topic.group(key, make_renderer), subscriber, after)

    def detach(self, topic: Topic, reader: Reader) -> None:
        reader.stop()
        self.release(topic)

    def release(self, topic: Topic) -> None:
        """Close the groups without readers, and the topic if it has no groups and no claims."""
        for key in [key for key, group in topic.groups.items() if not group.readers]:
            self._totals_of_closed.update(_counts(group := topic.remove_group(key)))
            self._run_in_background(group.close())
        if not topic.groups and topic.name not in self._claims and self._topics.get(topic.name) is topic:
            del self._topics[topic.name]
            self._totals_of_closed["refills"] += topic.refills
            self._leave(topic.name)
            self._run_in_background(topic.close())

    def _run_in_background(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # ------------------------------------------------------------------ callbacks of the bus

    def on_frame(self, frame: Frame) -> None:
        topic = self._topics.get(frame.topic)
        if topic is None:
            return
        try:
            entry = self._source.decode(frame.seq, frame.body)
            if frame.seq == 0:
                topic.on_signal(entry.event)
            elif frame.seq > topic.position:
                topic.on_entry(entry)
            elif topic.contradicts(entry):
                self._run_in_background(self._verify(topic, entry))
        except (
            ValueError,
            KeyError,
            TypeError,
        ):  # a frame of another release or of a stranger: the log is read instead
            self.malformed += 1
            topic.on_tail(frame.seq)

    def on_resync(self, names: Collection[str]) -> None:
        """Frames of these topics may have been lost: read their tails at once."""
        served = [name for name in names if name in self._topics]
        if served:
            self._run_in_background(self._check_tails_now(served))

    # ------------------------------------------------------------------ reading tails

    async def _check_tails_periodically(self) -> None:
        while True:
            await asyncio.sleep(TAIL_SECONDS)
            try:
                if self._epoch is not None:
                    await self._epoch.poll()
                await self._check_tails(list(self._topics))
                self._tails_fail = False
            except Exception as error:  # the next round reads them again
                self._on_unreadable_tails(error)

    async def _check_tails_now(self, names: Collection[str]) -> None:
        try:
            await self._check_tails(names)
        except Exception as error:
            self._on_unreadable_tails(error)

    def _on_unreadable_tails(self, error: Exception) -> None:
        """Log the first of several failures in a row."""
        if not self._tails_fail:
            logger.warning("cannot read the event log, trying again: %s", type(error).__name__)
        self._tails_fail = True

    async def _check_tails(self, names: Collection[str]) -> None:
        if not names or self._restarting is not None:
            return
        reached = {name: self._topics[name].reached for name in names if name in self._topics}
        incarnation = self._incarnation
        tails = await self._source.tails(names)
        lost = await has_lost(reached, tails, self._source.tails)
        if incarnation != self._incarnation:  # the log was replaced during the read: positions and tails do not compare
            return
        if lost:
            await self._renew(incarnation)
            return
        for topic in [self._topics[name] for name in names if name in self._topics]:  # others are closed by now
            if topic.name in tails:
                topic.on_tail(tails[topic.name])
            else:
                topic.recheck_all_rights()

    # ------------------------------------------------------------------ when the log has lost events

    def restart(self) -> None:
        """Another epoch has begun: send nothing until the tails of the logs are known. Then every stream tells its
        client that events may be missing, or fails."""
        self._generation += 1
        for topic in self._topics.values():
            topic.suspend()
        if self._restarting is not None:
            self._restarting.cancel()
        self._restarting = asyncio.create_task(self._restart(), name="hub restart")

    async def _restart(self) -> None:
        names = list(self._topics)
        try:
            tails = await retry_until_success(lambda: self._source.tails(names)) if names else {}
            for topic in list(self._topics.values()):
                topic.restart(tails.get(topic.name, 0))
        except Exception:
            logger.exception("cannot read the log after it was replaced; all streams end with an error")
            for topic in list(self._topics.values()):
                topic.fail()
        finally:
            if self._restarting is asyncio.current_task():
                self._restarting = None

    @property
    def _incarnation(self) -> tuple[int, Any]:
        return self._generation, self._epoch.current if self._epoch is not None else None

    def _on_diverged(self) -> None:
        if self._restarting is None:
            self._run_in_background(self._renew(self._incarnation))

    async def _verify(self, topic: Topic, entry: FeedEntry) -> None:
        """A frame contradicts an event that was sent: read which of the two the log holds."""
        stored = await retry_until_success(lambda: self._source.after(topic.name, entry.seq - 1, 1))
        if stored and topic.contradicts(stored[0]):
            self._on_diverged()

    async def _renew(self, incarnation: tuple[int, Any]) -> None:
        if incarnation != self._incarnation:
            return
        logger.error("the log has lost events, probably by a failover of the database; all streams start again")
        if self._epoch is None:
            self.restart()
            return
        try:
            await self._epoch.renew(incarnation[1])
        except Exception as error:  # a later round of tails finds it again
            logger.warning("cannot begin a new epoch, trying again: %s", type(error).__name__)

    # ------------------------------------------------------------------ figures

    @property
    def topics(self) -> Collection[Topic]:
        return self._topics.values()

    @property
    def groups(self) -> list[Group]:
        return [group for topic in self._topics.values() for group in topic.groups.values()]

    @property
    def reader_count(self) -> int:
        return sum(len(group.readers) for group in self.groups)

    @property
    def held_bytes(self) -> int:
        """The bytes held for readers that are behind."""
        return self._budget.used

    @property
    def totals(self) -> Counter[str]:
        """Executions of events, deliveries of payloads and refills from the log, since the start."""
        refills = Counter(refills=sum(topic.refills for topic in self._topics.values()))
        return sum(map(_counts, self.groups), self._totals_of_closed + refills)


def _counts(group: Group) -> Counter[str]:
    return Counter(executions=group.executions, deliveries=group.deliveries)
