"""Which connections this process serves, and whether it admits one more: limits per process, address and user."""

import asyncio
from collections import defaultdict
from collections.abc import Sized
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from roomcast.core.actor import Actor
from roomcast.core.rates import ClientAddresses
from roomcast.core.refusals import Refusals
from roomcast.realtime.fair_limiter import FairLimiter

MAX_STARTS_PER_TURN = 20
"""Operations, of all connections together, that may start before the event loop does other work."""

MAX_OPENING = 64
"""Subscriptions that are being opened at a time. One that waits for its turn holds little memory yet: when thousands of
clients return at once, the memory of the process would otherwise grow by half, and stay so."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one process; None for no limit. The names are those of the settings.

    An address may be a whole company behind one router, or a proxy that is missing in ROOMCAST_TRUSTED_PROXIES.
    """

    sockets_per_process: int | None = 50_000
    sockets_per_address: int | None = 1_000
    sockets_per_user: int | None = 50
    subscriptions_per_user: int | None = 1_000


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

    def __init__(
        self,
        limits: ConnectionLimits,
        presence: PresenceListener,
        addresses: ClientAddresses | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self.limits, self._presence = limits, presence
        self._addresses, self._refusals = addresses or ClientAddresses(), refusals or Refusals()
        self.limiter = FairLimiter(MAX_STARTS_PER_TURN)
        self.opening_slots = asyncio.Semaphore(MAX_OPENING)
        self.connections: set[AnyConnection] = set()
        self._by_address: defaultdict[str | None, set[AnyConnection]] = defaultdict(set)
        """By what counts as one address. Those of trusted networks are under None, and have no limit."""
        self._by_user: defaultdict[UUID, set[AnyConnection]] = defaultdict(set)
        self._by_session: defaultdict[UUID, set[AnyConnection]] = defaultdict(set)
        self._sessions: dict[AnyConnection, tuple[UUID, ...]] = {}
        """The sessions under which each connection is in `_by_session`."""

    def admit(self, connection: AnyConnection, address: str) -> bool:
        """Add the connection; False where a limit is reached. Call `release` at its end."""
        counted = self._addresses.limited(address)
        if self._is_reached("sockets_per_process", len(self.connections), address):
            return False
        open_here = len(self._by_address.get(counted, ()))
        if counted is not None and self._is_reached("sockets_per_address", open_here, counted):
            return False
        self.connections.add(connection)
        self._by_address[counted].add(connection)
        return True

    def release(self, connection: AnyConnection, address: str, viewer: Actor | None, *, for_good: bool) -> None:
        """Remove the connection. `for_good`: the viewer's session has ended."""
        self.connections.discard(connection)
        _discard(self._by_address, self._addresses.limited(address), connection)
        self._index_sessions(connection, set())
        # A connection that was closed because the user had too many was never assigned.
        if viewer is not None and connection in self._by_user.get(viewer.user_id, ()):
            _discard(self._by_user, viewer.user_id, connection)
            self._presence.on_disconnect(viewer, for_good=for_good)

    def has_capacity_for(self, user_id: UUID) -> bool:
        """Whether the user may have one more connection."""
        return not self._is_reached("sockets_per_user", len(self._by_user.get(user_id, ())), user_id)

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
        if self.limits.subscriptions_per_user is None:  # then a load test may have thousands of connections to add up
            return True
        streams = sum(len(each.streams) for each in self._by_user.get(user_id, ()))
        return not self._is_reached("subscriptions_per_user", streams, user_id)

    def _is_reached(self, name: str, count: int, caller: object) -> bool:
        """Whether this limit is reached, which is then counted as a refusal."""
        limit: int | None = getattr(self.limits, name)
        if limit is None or count < limit:
            return False
        self._refusals.count(name, caller)
        return True

    # ------------------------------------------------------------------ sessions

    def connections_of_session(self, session_id: UUID) -> list[AnyConnection]:
        """The connections that act for this session, and those with an operation that was sent under it."""
        return list(self._by_session.get(session_id, ()))

    def _index_sessions(self, connection: AnyConnection, sessions: set[UUID]) -> None:
        """Called when a connection changes its session. What it starts in between has the session of that time, so the
        index stays complete."""
        before = set(self._sessions.pop(connection, ()))
        for session_id in before - sessions:
            _discard(self._by_session, session_id, connection)
        for session_id in sessions - before:
            self._by_session[session_id].add(connection)
        if sessions:
            self._sessions[connection] = tuple(sessions)  # a set holds four times as much memory


Key = TypeVar("Key")


def _discard(sets: defaultdict[Key, set[AnyConnection]], key: Key, connection: AnyConnection) -> None:
    sets[key].discard(connection)
    if not sets[key]:
        del sets[key]
