"""A cache with a limit on its entries and, where needed, on their total weight. It drops the least recently used first.

`functools.lru_cache` stays the choice for pure functions: it is written in C and faster. This class is for caches that
are filled or emptied by hand. It is our own because it is shorter than the wrapper that `cachetools` would need for two
limits at once (entries and weight), and a dependency less.
"""

from collections import OrderedDict
from collections.abc import Callable, ItemsView
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Keeps at most `max_entries` entries. With `weigh`, their weights add up to at most `max_weight`.

    Values must not be None. Not safe for use from several threads.
    """

    def __init__(
        self, max_entries: int, *, max_weight: int = 0, weigh: Callable[[Key, Value], int] = lambda key, value: 0
    ) -> None:
        self._max_entries, self._max_weight, self._weigh = max_entries, max_weight, weigh
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Whether the key has an entry. Does not count as a use of it."""
        return key in self._entries

    def get(self, key: Key) -> Value | None:
        """The value of this key, which becomes the most recently used one. None if there is none."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Store a value and drop the least recently used entries that exceed a limit."""
        self.discard(key)
        self._entries[key] = value
        self.weight += self._weigh(key, value)
        while len(self._entries) > self._max_entries or self.weight > self._max_weight:
            self.weight -= self._weigh(*self._entries.popitem(last=False))

    def discard(self, key: Key) -> None:
        """Remove the entry of this key, if there is one."""
        value = self._entries.pop(key, None)
        if value is not None:
            self.weight -= self._weigh(key, value)

    def items(self) -> ItemsView[Key, Value]:
        """All entries, the least recently used first. Does not count as a use of them."""
        return self._entries.items()
