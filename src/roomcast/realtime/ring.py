"""What was made lately, kept in memory for those who are a little behind, within bounds of bytes."""

from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")

RING_BYTES = 4 * 1024 * 1024
"""Of one ring, and of the shared replays of one group."""

PROCESS_BYTES = 64 * 1024 * 1024
"""Of all rings and shared replays of a process together."""


class BudgetHolder(Protocol):
    """Holds bytes that it can do without."""

    held: int

    def shed(self) -> None:
        """Let go of the oldest."""


class ByteBudget:
    """The bytes that all holders of a process may have together. Beyond, the one that got nothing for longest sheds."""

    def __init__(self, limit: int = PROCESS_BYTES) -> None:
        self.limit, self.used = limit, 0
        self._holders: OrderedDict[BudgetHolder, None] = OrderedDict()

    def grow(self, holder: BudgetHolder, size: int) -> None:
        """The holder has got so many bytes more."""
        if not size:
            return
        self.used += size
        self._holders[holder] = None
        self._holders.move_to_end(holder)
        while self.used > self.limit:
            next(iter(self._holders)).shed()

    def shrink(self, holder: BudgetHolder, size: int) -> None:
        """The holder has let go of so many bytes."""
        self.used -= size
        if not holder.held:
            self._holders.pop(holder, None)


class Ring(Generic[Item]):
    """The newest items, at most `count` and `limit` bytes of them."""

    def __init__(self, count: int, budget: ByteBudget, limit: int = RING_BYTES) -> None:
        self.held = 0
        self._count, self._limit, self._budget = count, limit, budget
        self._items: deque[Item] = deque()
        self._sizes: deque[int] = deque()

    def append(self, item: Item, size: int) -> None:
        """One that is too large stays no longer than the others allow: not at all."""
        self._items.append(item)
        self._sizes.append(size)
        self.held += size
        self._budget.grow(self, size)
        while len(self._items) > self._count or self.held > self._limit:
            self.shed()

    def last(self, number: int) -> list[Item] | None:
        """The newest of them, so many; None if some have gone."""
        if number <= 0:
            return []
        return None if number > len(self._items) else list(self._items)[-number:]

    def shed(self) -> None:
        self._items.popleft()
        size = self._sizes.popleft()
        self.held -= size
        self._budget.shrink(self, size)

    def clear(self) -> None:
        size, self.held = self.held, 0
        self._items.clear()
        self._sizes.clear()
        self._budget.shrink(self, size)
