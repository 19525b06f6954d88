"""Something of which only the present counts, shown to groups like a log: its changes are numbered here and kept for a
moment, and who has missed some is shown all of it anew, as it is now."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from roomcast.realtime.group import Group
from roomcast.realtime.ports import FeedEntry

RING = 64
"""Changes kept for groups that are still executing."""


class SnapshotFeed:
    """`whole` says all of it, as it is when it is asked; a change says absolute values, so that it may also be told to
    who has been told the whole since. `unwatched` is called when the last group has gone."""

    def __init__(self, name: str, whole: Callable[[], Awaitable[Any]], unwatched: Callable[[], None]) -> None:
        self.name, self.position = name, 1  # what is there at first is the first to be told
        self._whole, self._unwatched = whole, unwatched
        self._ring: deque[FeedEntry] = deque(maxlen=RING)
        self._groups: list[Group] = []

    def follow(self, group: Group) -> None:
        self._groups.append(group)

    def unfollow(self, group: Group) -> None:
        self._groups.remove(group)
        if not self._groups:
            self._unwatched()

    def change(self, event: Any) -> None:
        """This has changed: every group is shown it, at its own pace."""
        self.position += 1
        self._ring.append(FeedEntry(self.position, event))
        for group in self._groups:
            group.schedule()

    # ------------------------------------------------------------------ what groups ask

    def since(self, seq: int) -> Sequence[FeedEntry] | None:
        missing = self.position - seq
        if missing > len(self._ring):
            return None
        return list(self._ring)[len(self._ring) - missing :]

    async def after(self, _name: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        """So many entries, of which the last one says it all."""
        whole = await self._whole()
        return [*(FeedEntry(number, None) for number in range(seq + 1, seq + limit)), FeedEntry(seq + limit, whole)]
