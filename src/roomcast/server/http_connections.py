"""The HTTP connections of this process: a limit per client address, and a limit on unread response bytes."""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""Response bytes that wait for their clients, over all connections. A client that reads slowly has one whole response
waiting."""


class CountedConnection(Protocol):
    @property
    def address(self) -> str: ...

    @property
    def unread(self) -> int:
        """Response bytes that wait to be read by the client."""

    def abort(self) -> None: ...


class HttpConnections:
    """`max_per_address` is None for no limit.

    `address_key` maps an IP address to what counts as one address, or to None where no limit applies. `on_refused` is
    called with what counted. The app sets both (`serving.App`): the rules are those of the app's other limits, and this
    package imports nothing of the app.
    """

    def __init__(self, max_per_address: int | None = None, max_unread_bytes: int = MAX_UNREAD_BYTES) -> None:
        self.max_per_address, self.max_unread_bytes = max_per_address, max_unread_bytes
        self.address_key: Callable[[str], str | None] = str
        self.on_refused: Callable[[str], None] = lambda key: None
        self._open: Counter[str] = Counter()
        self._blocked: dict[CountedConnection, None] = {}

    def admit(self, address: str) -> bool:
        """Count one more connection; False where the address has reached its limit. Call `release` at its end."""
        if self.max_per_address is not None and self._open[address] >= self.max_per_address:
            self.on_refused(address)
            return False
        self._open[address] += 1
        return True

    def release(self, address: str) -> None:
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]

    def on_blocked(self, connection: CountedConnection) -> None:
        """The client of this connection does not read what was sent.

        While the unread bytes exceed the limit, this drops connections: of the address with the most unread bytes, the
        one that has been blocked longest.
        """
        self._blocked[connection] = None
        while sum(each.unread for each in self._blocked) > self.max_unread_bytes:
            unread: Counter[str] = Counter()
            for each in self._blocked:
                unread[each.address] += each.unread
            [(worst, _)] = unread.most_common(1)
            dropped = next(each for each in self._blocked if each.address == worst)
            self.on_unblocked(dropped)
            dropped.abort()

    def on_unblocked(self, connection: CountedConnection) -> None:
        self._blocked.pop(connection, None)


CONNECTIONS = HttpConnections()
"""Those of this process. It is a global because uvicorn constructs the protocols and passes them nothing of ours."""
