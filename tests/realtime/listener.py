"""A process on the bus, as tests see it: what it joined, what it was told."""

import asyncio
from collections.abc import Awaitable, Callable

from roomcast.realtime.bus.bus import Bus, Frame

LIMIT_SECONDS = 15


class Listener:
    """Remembers every frame, and the topics it was told to read the log of."""

    def __init__(self, url: str, *, shards: int = 64, pending: int = 10_000, direct_url: str | None = None) -> None:
        self.frames: list[Frame] = []
        self.resynced: set[str] = set()
        self.bus = Bus(
            url,
            on_frame=lambda frame: self.frames.append(frame),
            on_resync=lambda topics: self.resynced.update(topics),
            shards=shards,
            pending=pending,
            direct_url=direct_url,
        )

    async def join(self, *topics: str) -> None:
        """Joined, and from now on certain to hear."""
        self.resynced.difference_update(topics)
        for topic in topics:
            self.bus.join(topic)
        await until(lambda: self.resynced.issuperset(topics))

    async def hears(self, *frames: Frame) -> None:
        await until(lambda: set(frames) <= set(self.frames))

    def heard(self, topic: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.topic == topic]


Open = Callable[..., Awaitable[Listener]]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not true():  # noqa: ASYNC110 - counters and connections of others announce nothing to wait for
            await asyncio.sleep(0.002)


def frames(topic: str, count: int) -> list[Frame]:
    return [Frame(topic, seq, f"{topic}, body {seq}\nsecond line ✓") for seq in range(1, count + 1)]


async def pause(turns: int) -> None:
    """Lets every other task have its turn so many times."""
    for _ in range(turns):
        await asyncio.sleep(0)
