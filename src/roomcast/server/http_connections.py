"""The HTTP connections of this process: how many one address may have, and what all may leave unread."""

from collections import Counter
from typing import Protocol

MAX_PER_ADDRESS = 1_000
"""A company behind one router is an address. A browser opens six connections to a server."""

MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""Of answers that clients do not take. A client that reads slowly has a whole answer waiting."""


class CountedConnection(Protocol):
    @property
    def address(self) -> str: ...

    @property
    def unread(self) -> int:
        """Bytes that wait to be taken."""

    def abort(self) -> None: ...


class HttpConnections:
    """`max_per_address`: None for no limit."""

    def __init__(self, max_per_address: int | None = MAX_PER_ADDRESS, max_unread_bytes: int = MAX_UNREAD_BYTES) -> None:
        self.max_per_address, self.max_unread_bytes = max_per_address, max_unread_bytes
        self._open: Counter[str] = Counter()
        self._blocked: dict[CountedConnection, None] = {}

    def enter(self, address: str) -> bool:
        """Whether there was a place. A connection that entered has to `leave`."""
        if self.max_per_address is not None and self._open[address] >= self.max_per_address:
            return False
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]

    def blocked(self, connection: CountedConnection) -> None:
        """Its client does not take what was sent. Drops connections until the rest is little enough: those of the
        address that has the most waiting, the longest blocked first."""
        self._blocked[connection] = None
        while sum(each.unread for each in self._blocked) > self.max_unread_bytes:
            waiting: Counter[str] = Counter()
            for each in self._blocked:
                waiting[each.address] += each.unread
            [(worst, _)] = waiting.most_common(1)
            dropped = next(each for each in self._blocked if each.address == worst)
            self.unblocked(dropped)
            dropped.abort()

    def unblocked(self, connection: CountedConnection) -> None:
        self._blocked.pop(connection, None)


CONNECTIONS = HttpConnections()
"""Those of this process. uvicorn makes the protocols, so nobody can hand it to them."""
