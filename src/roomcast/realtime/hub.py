"""Within this process: topic → groups → sockets. One execution per group, and the log behind every doubt.

The bus only makes it quick. A frame is used when it is exactly the next one; a jump is filled from the log; and a look
at the tails of the topics served here, once a second, finds a last frame that was lost with nothing after it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Hashable, Mapping
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

logger = logging.getLogger("roomcast.hub")


class Hub:
    """`join` and `leave` tell the bus which topics are served here. `epoch` is renewed when the log has lost
    events, and then calls `restart`; without it, the hub restarts by itself. `budget`: of the bytes that are held for
    those who are behind."""

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
        """The topic, with the bus joined before its tail was read; None when it is gone. Without a reader at the end
        of the block it is forgotten, also when the block is cancelled while the tail is being read."""
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
            self._drop_claim(name)

    def _drop_claim(self, name: str) -> None:
        if not self._claims[name]:
            del self._claims[name]
            if topic := self._topics.get(name):
                self.release(topic)

    async def _open(self, name: str) -> Topic | None:
        self._join(name)
        topic = None
        try:
            tail = await self._read_tail(name)
            if tail is not None and name in self._claims:
                topic = self._topics[name] = Topic(name, tail, self._source, self._on_diverged, self._budget)
            return topic
        finally:
            del self._opening[name]
            if topic is None:
                self._leave(name)

    async def _read_tail(self, name: str) -> int | None:
        generation = None
        while generation != self._generation:  # else the log has become another one meanwhile
            generation = self._generation
            tails = await retry_until_success(lambda: self._source.tails([name]))
        return tails.get(name)

    def attach(
        self,
        topic: Topic,
        key: Hashable,
        script: Callable[[], Renderer],
        listener: Subscriber,
        after: int | None = None,
    ) -> Reader:
        """A reader of that topic's group; `script` writes it for the first one. Start the reader (`after`: the position
        that it will start after, if not the present one); `detach` it in the end, whoever ends it."""
        return Reader(topic.group(key, script), listener, after)

    def detach(self, topic: Topic, reader: Reader) -> None:
        reader.stop()
        self.release(topic)

    def release(self, topic: Topic) -> None:
        """Forget groups without readers, and the topic without groups."""
        for key in [key for key, group in topic.groups.items() if not group.readers]:
            self._totals_of_closed.update(_counts(group := topic.remove_group(key)))
            self._run_in_background(group.close())
        if not topic.groups and topic.name not in self._claims and self._topics.get(topic.name) is topic:
            del self._topics[topic.name]
            self._leave(topic.name)
            self._run_in_background(topic.close())

    def _run_in_background(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # ------------------------------------------------------------------ what the bus says

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
        except (ValueError, KeyError, TypeError):  # another release's frame, or a stranger's: the log will tell
            self.malformed += 1
            topic.on_tail(frame.seq)

    def on_resync(self, names: Collection[str]) -> None:
        """Frames of these topics may have been lost: look at their tails now, not in a second."""
        served = [name for name in names if name in self._topics]
        if served:
            self._run_in_background(self._check_tails_now(served))

    # ------------------------------------------------------------------ what nobody says

    async def _check_tails_periodically(self) -> None:
        while True:
            await asyncio.sleep(TAIL_SECONDS)
            try:
                if self._epoch is not None:
                    await self._epoch.look()
                await self._check_tails(list(self._topics))
            except Exception as error:  # the next look finds what this one did not
                logger.warning("the tails of %d topics cannot be read: %s", len(self._topics), type(error).__name__)

    async def _check_tails_now(self, names: Collection[str]) -> None:
        try:
            await self._check_tails(names)
        except Exception as error:
            logger.warning("the tails of %d topics cannot be read: %s", len(names), type(error).__name__)

    async def _check_tails(self, names: Collection[str]) -> None:
        if not names or self._restarting is not None:
            return
        reached = {name: self._topics[name].position for name in names if name in self._topics}
        era = self._incarnation
        tails = await self._source.tails(names)
        lost = await has_lost(reached, tails, self._source.tails)
        if era != self._incarnation:  # the positions were those of another log
            return
        if lost:
            await self._renew(era)
        else:
            self._apply_tails(names, tails)

    def _apply_tails(self, names: Collection[str], tails: Mapping[str, int]) -> None:
        for name in names:
            if (topic := self._topics.get(name)) is None:
                continue
            if name in tails:
                topic.on_tail(tails[name])
            else:
                topic.recheck_all_rights()

    # ------------------------------------------------------------------ when the log has lost events

    def restart(self) -> None:
        """Another epoch has begun: nothing more is shown until the logs' ends are known. Then every stream is told that
        it may have missed something, or fails."""
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
            logger.exception("the streams could not begin anew")
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
        """A frame contradicts what was shown: ask the log which of them it has."""
        stored = await retry_until_success(lambda: self._source.after(topic.name, entry.seq - 1, 1))
        if stored and topic.contradicts(stored[0]):
            self._on_diverged()

    async def _renew(self, era: tuple[int, Any]) -> None:
        if era != self._incarnation:
            return
        logger.error("the log has lost events that were there before (a failover?): every stream begins anew")
        if self._epoch is None:
            self.restart()
            return
        try:
            await self._epoch.renew(era[1])
        except Exception as error:  # a later look sees it again
            logger.warning("no new epoch could begin: %s", type(error).__name__)

    # ------------------------------------------------------------------ for the curious

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
        """What is kept for readers who are behind."""
        return self._budget.used

    @property
    def totals(self) -> Counter[str]:
        """Executions of events, and deliveries of what they made, since the start."""
        return sum(map(_counts, self.groups), self._totals_of_closed)


def _counts(group: Group) -> Counter[str]:
    return Counter(executions=group.executions, deliveries=group.deliveries)
