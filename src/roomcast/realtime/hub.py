"""Within this process: topic → groups → sockets. One execution per group, and the log behind every doubt.

The bus only makes it quick. A frame is used when it is exactly the next one; a jump is filled from the log; and a look
at the tails of the topics served here, once a second, finds a last frame that was lost with nothing after it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any

from roomcast.realtime.bus import Frame
from roomcast.realtime.group import Group
from roomcast.realtime.reader import Listener, Reader
from roomcast.realtime.retry import until_it_works
from roomcast.realtime.source import Script, Source
from roomcast.realtime.topic import Topic

TAIL_SECONDS = 1.0

_log = logging.getLogger("roomcast.hub")


class Hub:
    """`join` and `leave` tell the bus which topics are served here."""

    def __init__(self, source: Source, join: Callable[[str], None], leave: Callable[[str], None]) -> None:
        self._source, self._join, self._leave = source, join, leave
        self._topics: dict[str, Topic] = {}
        self._opening: dict[str, asyncio.Task[Topic | None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._claims: Counter[str] = Counter()
        self._closing: set[asyncio.Task[None]] = set()
        self.malformed = self.failed = 0
        self._done: Counter[str] = Counter()

    async def start(self) -> None:
        self._looking = asyncio.create_task(self._look_at_tails(), name="tails")

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        topics, self._topics = list(self._topics.values()), {}
        for opening in self._opening.values():
            opening.cancel()
        closing = [*(topic.close() for topic in topics), *self._opening.values(), *self._closing]
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
            yield self._topics.get(name) or await asyncio.shield(self._opening[name])
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
            tail = (await until_it_works(lambda: self._source.tails([name]))).get(name)
            if tail is not None and name in self._claims:
                topic = self._topics[name] = Topic(name, tail, self._source)
            return topic
        finally:
            del self._opening[name]
            if topic is None:
                self._leave(name)

    def attach(
        self,
        topic: Topic,
        key: Hashable,
        script: Callable[[], Script],
        listener: Listener,
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
            self._done.update(_work(group := topic.drop(key)))
            self._finish(group.close())
        if not topic.groups and topic.name not in self._claims and self._topics.get(topic.name) is topic:
            del self._topics[topic.name]
            self._leave(topic.name)
            self._finish(topic.close())

    def _finish(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # ------------------------------------------------------------------ what the bus says

    def on_frame(self, frame: Frame) -> None:
        topic = self._topics.get(frame.topic)
        if topic is None or 0 < frame.seq <= topic.position:
            return
        try:
            entry = self._source.decode(frame.seq, frame.body)
            if frame.seq == 0:
                topic.signal(entry.event)
            else:
                topic.offer(entry)
        except (ValueError, KeyError, TypeError):  # another release's frame, or a stranger's: the log will tell
            self.malformed += 1
            topic.expect(frame.seq)

    def on_resync(self, names: Collection[str]) -> None:
        """Frames of these topics may have been lost: look at their tails now, not in a second."""
        served = [name for name in names if name in self._topics]
        if served:
            self._finish(self._look(served))

    # ------------------------------------------------------------------ what nobody says

    async def _look_at_tails(self) -> None:
        while True:
            await asyncio.sleep(TAIL_SECONDS)
            await self._look(list(self._topics))

    async def _look(self, names: Collection[str]) -> None:
        if not names:
            return
        try:
            tails = await self._source.tails(names)
        except Exception as error:
            _log.warning("the tails of %d topics cannot be read: %s", len(names), type(error).__name__)
            return
        for name in names:
            if (topic := self._topics.get(name)) is None:
                continue
            if name in tails:
                topic.expect(tails[name])
            else:
                topic.doubt_rights()

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
    def done(self) -> Counter[str]:
        """Executions of events, and deliveries of what they made, since the start."""
        return sum(map(_work, self.groups), self._done)


def _work(group: Group) -> Counter[str]:
    return Counter(executions=group.executions, deliveries=group.deliveries)
