"""Who is connected to this process, and whether there is a place for one more: nobody can take those of all others."""

from collections import defaultdict
from collections.abc import Sized
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from roomcast.realtime.turns import Turns

OPERATIONS = 20
"""That may begin, of all sockets, before others get their turn on the loop."""


@dataclass(frozen=True, slots=True)
class Places:
    """Limits of one process: sockets in all, of one address, of one person; and the streams of one person. None: none.

    An address may be a whole company behind one router, or a proxy that nobody named in ROOMCAST_TRUSTED_PROXIES.
    """

    sockets: int = 50_000
    sockets_per_address: int | None = 1_000
    sockets_per_person: int | None = 50
    streams_per_person: int | None = 1_000


UNLIMITED = Places(sockets_per_address=None, sockets_per_person=None, streams_per_person=None)
"""For load tests: whoever it is may come as often as they like, until the process as a whole is full."""


class Guest(Protocol):
    """What a socket has to show here."""

    @property
    def streams(self) -> Sized: ...


Socket = TypeVar("Socket", bound=Guest)


class Crowd(Generic[Socket]):
    """Counts nothing by hand: what is asked for is looked up among the sockets that are there."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.turns = Turns(OPERATIONS)
        self.sockets: set[Socket] = set()
        self._of_address: defaultdict[str, set[Socket]] = defaultdict(set)
        self._of_person: defaultdict[UUID, set[Socket]] = defaultdict(set)

    def enter(self, socket: Socket, address: str) -> bool:
        """Whether there was a place. A socket that entered has to `leave`."""
        is_full = len(self.sockets) >= self.places.sockets
        if is_full or _reached(self.places.sockets_per_address, self._of_address.get(address, ())):
            return False
        self.sockets.add(socket)
        self._of_address[address].add(socket)
        return True

    def leave(self, socket: Socket, address: str, person: UUID | None) -> None:
        self.sockets.discard(socket)
        _take_out(self._of_address, address, socket)
        if person is not None:
            _take_out(self._of_person, person, socket)

    def has_place_for(self, person: UUID) -> bool:
        return not _reached(self.places.sockets_per_person, self._of_person.get(person, ()))

    def belongs(self, socket: Socket, before: UUID | None, person: UUID) -> None:
        """The socket is that person's from here on."""
        if before is not None:
            _take_out(self._of_person, before, socket)
        self._of_person[person].add(socket)

    def may_stream(self, person: UUID) -> bool:
        """Whether the person may open one more stream, on whichever of their sockets."""
        limit = self.places.streams_per_person
        return limit is None or sum(len(socket.streams) for socket in self._of_person.get(person, ())) < limit


def _reached(limit: int | None, there: Sized) -> bool:
    return limit is not None and len(there) >= limit


Key = TypeVar("Key")


def _take_out(sets: defaultdict[Key, set[Socket]], key: Key, socket: Socket) -> None:
    sets[key].discard(socket)
    if not sets[key]:
        del sets[key]
