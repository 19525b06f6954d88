"""Who is connected to this process, and whether there is a place for one more: nobody can take those of all others."""

from collections import defaultdict
from collections.abc import Sized
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from roomcast.core.actor import Actor
from roomcast.core.rates import counted_address
from roomcast.realtime.fair_limiter import FairLimiter

OPERATIONS = 20
"""That may begin, of all sockets, before others get their turn on the loop."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one process: sockets in all, of one address, of one person; and the streams of one person. None: none.

    An address may be a whole company behind one router, or a proxy that nobody named in ROOMCAST_TRUSTED_PROXIES.
    """

    sockets: int = 50_000
    sockets_per_address: int | None = 1_000
    sockets_per_person: int | None = 50
    streams_per_person: int | None = 1_000


UNLIMITED = ConnectionLimits(sockets_per_address=None, sockets_per_person=None, streams_per_person=None)
"""For load tests: whoever it is may come as often as they like, until the process as a whole is full."""


class AdmittedConnection(Protocol):
    """What a socket has to show here."""

    @property
    def streams(self) -> Sized: ...

    @property
    def sessions(self) -> set[UUID]: ...


class PresenceListener(Protocol):
    """Who is told whose sockets come and go."""

    def on_connect(self, actor: Actor) -> None: ...

    def on_disconnect(self, actor: Actor, *, for_good: bool) -> None: ...


Socket = TypeVar("Socket", bound=AdmittedConnection)


class Admission(Generic[Socket]):
    """Counts nothing by hand: what is asked for is looked up among the sockets that are there."""

    def __init__(self, places: ConnectionLimits, host: PresenceListener) -> None:
        self.places, self._host = places, host
        self.limiter = FairLimiter(OPERATIONS)
        self.sockets: set[Socket] = set()
        self._of_address: defaultdict[str, set[Socket]] = defaultdict(set)
        self._of_person: defaultdict[UUID, set[Socket]] = defaultdict(set)
        self._of_session: defaultdict[UUID, set[Socket]] = defaultdict(set)
        self._sessions: dict[Socket, set[UUID]] = {}

    def enter(self, socket: Socket, address: str) -> bool:
        """Whether there was a place. A socket that entered has to `leave`."""
        address = counted_address(address)
        is_full = len(self.sockets) >= self.places.sockets
        if is_full or _reached(self.places.sockets_per_address, self._of_address.get(address, ())):
            return False
        self.sockets.add(socket)
        self._of_address[address].add(socket)
        return True

    def leave(self, socket: Socket, address: str, person: Actor | None, *, for_good: bool) -> None:
        """`for_good`: the person's session has ended."""
        self.sockets.discard(socket)
        _take_out(self._of_address, counted_address(address), socket)
        self._index(socket, set())
        if person is not None and socket in self._of_person.get(person.user_id, ()):  # else there was no place
            _take_out(self._of_person, person.user_id, socket)
            self._host.on_disconnect(person, for_good=for_good)

    def has_capacity_for(self, person: UUID) -> bool:
        return not _reached(self.places.sockets_per_person, self._of_person.get(person, ()))

    def assign(self, socket: Socket, before: Actor | None, person: Actor) -> None:
        """The socket is that person's from here on."""
        if before is not None:
            _take_out(self._of_person, before.user_id, socket)
        self._of_person[person.user_id].add(socket)
        self._index(socket, socket.sessions)
        self._host.on_connect(person)
        if before is not None:
            self._host.on_disconnect(before, for_good=False)

    def may_stream(self, person: UUID) -> bool:
        """Whether the person may open one more stream, on whichever of their sockets."""
        limit = self.places.streams_per_person
        return limit is None or sum(len(socket.streams) for socket in self._of_person.get(person, ())) < limit

    # ------------------------------------------------------------------ sessions

    def of_session(self, session_id: UUID) -> list[Socket]:
        """The sockets that act for this session, and those with a stream that was opened under it."""
        return list(self._of_session.get(session_id, ()))

    def _index(self, socket: Socket, sessions: set[UUID]) -> None:
        """Kept when a socket changes hands: what it begins in between acts for the session that it has then."""
        before = self._sessions.pop(socket, set())
        for session_id in before - sessions:
            _take_out(self._of_session, session_id, socket)
        for session_id in sessions - before:
            self._of_session[session_id].add(socket)
        if sessions:
            self._sessions[socket] = sessions


def _reached(limit: int | None, there: Sized) -> bool:
    return limit is not None and len(there) >= limit


Key = TypeVar("Key")


def _take_out(sets: defaultdict[Key, set[Socket]], key: Key, socket: Socket) -> None:
    sets[key].discard(socket)
    if not sets[key]:
        del sets[key]
