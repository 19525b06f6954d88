"""Which connections this process serves, and whether it admits one more: limits per process, address and user."""

from collections import defaultdict
from collections.abc import Sized
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from roomcast.core.actor import Actor
from roomcast.core.rates import counted_address
from roomcast.realtime.fair_limiter import FairLimiter

MAX_STARTS_PER_TURN = 20
"""Operations, of all connections together, that may start before the event loop does other work."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one process; None for no limit.

    An address may be a whole company behind one router, or a proxy that is missing in ROOMCAST_TRUSTED_PROXIES.
    """

    connections: int = 50_000
    connections_per_address: int | None = 1_000
    connections_per_user: int | None = 50
    streams_per_user: int | None = 1_000


UNLIMITED = ConnectionLimits(connections_per_address=None, connections_per_user=None, streams_per_user=None)
"""For load tests: no limits but that of the process."""


class AdmittedConnection(Protocol):
    """What admission needs to know of a connection."""

    @property
    def streams(self) -> Sized: ...

    @property
    def sessions(self) -> set[UUID]: ...


class PresenceListener(Protocol):
    """Is called when a user's connections begin and end."""

    def on_connect(self, actor: Actor) -> None: ...

    def on_disconnect(self, actor: Actor, *, for_good: bool) -> None: ...


AnyConnection = TypeVar("AnyConnection", bound=AdmittedConnection)


class Admission(Generic[AnyConnection]):
    """Keeps no counters that could drift: every count is the size of a set of connections."""

    def __init__(self, limits: ConnectionLimits, presence: PresenceListener) -> None:
        self.limits, self._presence = limits, presence
        self.limiter = FairLimiter(MAX_STARTS_PER_TURN)
        self.connections: set[AnyConnection] = set()
        self._by_address: defaultdict[str, set[AnyConnection]] = defaultdict(set)
        self._by_user: defaultdict[UUID, set[AnyConnection]] = defaultdict(set)
        self._by_session: defaultdict[UUID, set[AnyConnection]] = defaultdict(set)
        self._sessions: dict[AnyConnection, set[UUID]] = {}
        """The sessions under which each connection is in `_by_session`."""

    def admit(self, connection: AnyConnection, address: str) -> bool:
        """Add the connection; False where a limit is reached. Call `release` at its end."""
        address = counted_address(address)
        is_full = len(self.connections) >= self.limits.connections
        if is_full or _is_reached(self.limits.connections_per_address, self._by_address.get(address, ())):
            return False
        self.connections.add(connection)
        self._by_address[address].add(connection)
        return True

    def release(self, connection: AnyConnection, address: str, viewer: Actor | None, *, for_good: bool) -> None:
        """Remove the connection. `for_good`: the viewer's session has ended."""
        self.connections.discard(connection)
        _discard(self._by_address, counted_address(address), connection)
        self._index_sessions(connection, set())
        # A connection that was closed because the user had too many was never assigned.
        if viewer is not None and connection in self._by_user.get(viewer.user_id, ()):
            _discard(self._by_user, viewer.user_id, connection)
            self._presence.on_disconnect(viewer, for_good=for_good)

    def has_capacity_for(self, user_id: UUID) -> bool:
        """Whether the user may have one more connection."""
        return not _is_reached(self.limits.connections_per_user, self._by_user.get(user_id, ()))

    def assign(self, connection: AnyConnection, previous: Actor | None, viewer: Actor) -> None:
        """The connection acts for `viewer` from here on, no longer for `previous`."""
        if previous is not None:
            _discard(self._by_user, previous.user_id, connection)
        self._by_user[viewer.user_id].add(connection)
        self._index_sessions(connection, connection.sessions)
        # In this order: a user who only renews a session never has no connection, so nobody sees them go offline.
        self._presence.on_connect(viewer)
        if previous is not None:
            self._presence.on_disconnect(previous, for_good=False)

    def may_open_stream(self, user_id: UUID) -> bool:
        """Whether the user may open one more stream, counted over all their connections."""
        limit = self.limits.streams_per_user
        return limit is None or sum(len(each.streams) for each in self._by_user.get(user_id, ())) < limit

    # ------------------------------------------------------------------ sessions

    def connections_of_session(self, session_id: UUID) -> list[AnyConnection]:
        """The connections that act for this session, and those with an operation that was sent under it."""
        return list(self._by_session.get(session_id, ()))

    def _index_sessions(self, connection: AnyConnection, sessions: set[UUID]) -> None:
        """Called when a connection changes its session. What it starts in between has the session of that time, so the
        index stays complete."""
        before = self._sessions.pop(connection, set())
        for session_id in before - sessions:
            _discard(self._by_session, session_id, connection)
        for session_id in sessions - before:
            self._by_session[session_id].add(connection)
        if sessions:
            self._sessions[connection] = sessions


def _is_reached(limit: int | None, counted: Sized) -> bool:
    return limit is not None and len(counted) >= limit


Key = TypeVar("Key")


def _discard(sets: defaultdict[Key, set[AnyConnection]], key: Key, connection: AnyConnection) -> None:
    sets[key].discard(connection)
    if not sets[key]:
        del sets[key]
