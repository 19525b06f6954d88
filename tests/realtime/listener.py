"""A process on the bus that records the frames and resyncs it gets."""

import asyncio
from collections.abc import Awaitable, Callable

from roomcast.realtime.bus.bus import Bus, Frame

LIMIT_SECONDS = 15


class Listener:
    """Records every frame, and the topics that were resynced."""

    def __init__(self, url: str, *, shards: int = 64, pending: int = 10_000) -> None:
        self.frames: list[Frame] = []
        self.resynced: set[str] = set()
        self.bus = Bus(
            url,
            on_frame=lambda frame: self.frames.append(frame),
            on_resync=lambda topics: self.resynced.update(topics),
            shards=shards,
            pending=pending,
        )

    async def join(self, *topics: str) -> None:
        """Join topics and wait for their first resync: from then on no frame is missed silently."""
        self.resynced.difference_update(topics)
        for topic in topics:
            self.bus.join(topic)
        await until(lambda: self.resynced.issuperset(topics))

    async def receives(self, *frames: Frame) -> None:
        await until(lambda: set(frames) <= set(self.frames))

    def frames_of(self, topic: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.topic == topic]


Open = Callable[..., Awaitable[Listener]]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - counters and connections of others announce nothing to wait for
            await asyncio.sleep(0.002)


def frames(topic: str, count: int) -> list[Frame]:
    return [Frame(topic, seq, f"{topic}, body {seq}\nsecond line ✓") for seq in range(1, count + 1)]


async def pause(turns: int) -> None:
    """Let every other task run `turns` times."""
    for _ in range(turns):
        await asyncio.sleep(0)
