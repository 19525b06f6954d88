"""For those who only need to know that something happened, and look for themselves what it was."""

from collections.abc import Callable, Collection
from typing import Protocol

from roomcast.realtime.bus import Frame


class Watcher(Protocol):
    """Both are called on the event loop and must be quick."""

    def touched(self, frame: Frame) -> None:
        """Something happened to a topic."""

    def doubted(self) -> None:
        """Something may have happened and was not heard."""


class Watch:
    """Who watches which topics in this process. `join` and `leave` tell the bus."""

    def __init__(self, join: Callable[[str], None], leave: Callable[[str], None]) -> None:
        self._join, self._leave = join, leave
        self._watchers: dict[str, set[Watcher]] = {}

    def follow(self, watcher: Watcher, topic: str) -> None:
        """From here on; a doubt follows, since what came before may have been missed."""
        watchers = self._watchers.setdefault(topic, set())
        if not watchers:
            self._join(topic)
        watchers.add(watcher)

    def unfollow(self, watcher: Watcher, topics: Collection[str]) -> None:
        for topic in topics:
            watchers = self._watchers.get(topic, set())
            watchers.discard(watcher)
            if topic in self._watchers and not watchers:
                del self._watchers[topic]
                self._leave(topic)

    def on_frame(self, frame: Frame) -> None:
        for watcher in tuple(self._watchers.get(frame.topic, ())):
            watcher.touched(frame)

    def on_resync(self, topics: Collection[str]) -> None:
        for watcher in {watcher for topic in topics for watcher in self._watchers.get(topic, ())}:
            watcher.doubted()

    @property
    def topics(self) -> Collection[str]:
        return self._watchers.keys()
