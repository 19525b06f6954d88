"""Rings: the newest items in memory, for readers that are a little behind. Limited in number and in bytes."""

from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

from roomcast.realtime.fair_limiter import FairLimiter
from roomcast.realtime.pacer import Pacer

Item = TypeVar("Item")

RING_BYTES = 1024 * 1024
"""The limit of one ring, and of the shared replays of one group."""

PROCESS_BYTES = 32 * 1024 * 1024
"""The limit of all rings and shared replays of a process together."""

LARGE_PAYLOAD_BYTES_PER_SECOND = 4 * 1024 * 1024
"""Large payloads that a process makes: about a twentieth of its time. One user can subscribe to a room with many
documents whose payloads are of the largest size. Everybody else would wait while each message is encoded for all."""


class BudgetHolder(Protocol):
    """Holds bytes in memory that can be read again. `held`: how many."""

    held: int

    def shed(self) -> None:
        """Remove the oldest item."""


class ByteBudget:
    """Limits the bytes that all holders of a process have together. Above `limit`, the holder that has grown least
    recently sheds its items.

    `pacer`: limits the bytes of large payloads that the process makes in a second. `first_payloads`: the first payload
    of each group may be large; one is made in each pass of the event loop.
    """

    def __init__(self, limit: int = PROCESS_BYTES) -> None:
        self.limit, self.used = limit, 0
        self.pacer = Pacer(LARGE_PAYLOAD_BYTES_PER_SECOND)
        self.first_payloads = FairLimiter(1)
        self._holders: OrderedDict[BudgetHolder, None] = OrderedDict()

    def grow(self, holder: BudgetHolder, size: int) -> None:
        """The holder has `size` more bytes."""
        if not size:
            return
        self.used += size
        self._holders[holder] = None
        self._holders.move_to_end(holder)
        while self.used > self.limit:
            next(iter(self._holders)).shed()

    def shrink(self, holder: BudgetHolder, size: int) -> None:
        """The holder has `size` fewer bytes."""
        self.used -= size
        if not holder.held:
            self._holders.pop(holder, None)


class Ring(Generic[Item]):
    """The newest items: at most `count` of them, and at most `limit` bytes."""

    def __init__(self, count: int, budget: ByteBudget, limit: int = RING_BYTES) -> None:
        self.held = 0
        self._count, self._limit, self._budget = count, limit, budget
        self._items: deque[Item] = deque()
        self._sizes: deque[int] = deque()

    def append(self, item: Item, size: int) -> None:
        """Add an item. One that is larger than `limit` removes all others, and is not kept either."""
        self._items.append(item)
        self._sizes.append(size)
        self.held += size
        self._budget.grow(self, size)
        while len(self._items) > self._count or self.held > self._limit:
            self.shed()

    def last(self, number: int) -> list[Item] | None:
        """The newest `number` items. None if some of them have been removed."""
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
