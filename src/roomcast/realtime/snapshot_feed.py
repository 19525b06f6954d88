"""A feed of which only the present state counts. Its changes are numbered in this process and kept in a short ring. A
reader that has missed changes gets a snapshot of the whole state instead."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from roomcast.realtime.ports import FeedEntry, FeedListener

RING = 64
"""Changes that are kept for groups that are still executing."""


class SnapshotFeed:
    """`snapshot` reads the whole state. A change must hold absolute values: a reader may get a change that its snapshot
    already contains. `on_unwatched` is called when the last group has left."""

    def __init__(self, name: str, snapshot: Callable[[], Awaitable[Any]], on_unwatched: Callable[[], None]) -> None:
        self.name, self.position = name, 1  # seq 1 is the state at the beginning
        self._read_snapshot, self._on_unwatched = snapshot, on_unwatched
        self._ring: deque[FeedEntry] = deque(maxlen=RING)
        self._groups: list[FeedListener] = []

    def follow(self, group: FeedListener) -> None:
        self._groups.append(group)

    def unfollow(self, group: FeedListener) -> None:
        self._groups.remove(group)
        if not self._groups:
            self._on_unwatched()

    def change(self, event: Any) -> None:
        """Send a change to every group. Each renders it at its own pace."""
        self.position += 1
        self._ring.append(FeedEntry(self.position, event))
        for group in self._groups:
            group.schedule()

    # ------------------------------------------------------------------ for groups

    def entries_after(self, seq: int) -> Sequence[FeedEntry] | None:
        missing = self.position - seq
        if missing > len(self._ring):
            return None
        return list(self._ring)[len(self._ring) - missing :]

    async def after(self, _name: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        """`limit` entries: the last one is the snapshot, those before it are empty."""
        snapshot = await self._read_snapshot()
        return [*(FeedEntry(number, None) for number in range(seq + 1, seq + limit)), FeedEntry(seq + limit, snapshot)]
