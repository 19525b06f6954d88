"""What processes tell each other of their people: numbered lines, so that a lost one is noticed and all is asked anew.

Nothing is promised of a line. A process that hears a gap asks the other for its roll, everything it has to tell; one
that has not been heard for a while is taken for dead, and what it told is forgotten.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from roomcast.presence.people import People, Report, Status, seconds

LINE_BYTES = 6_000
"""PostgreSQL carries less than 8,000 in one notification."""


class Kind(StrEnum):
    PEOPLE = "people"
    """How the sender sees these people: [person, ACTIVE, IDLE or GONE, since when, at of their card]."""
    CARDS = "cards"
    """What these people say of themselves: [person, at, hidden by which session, text, emoji]."""
    IDLE = "idle"
    """What these devices say of themselves: [person, session, idle]."""
    LEFT = "left"
    """Sessions whose last socket there has gone."""
    BEAT = "beat"
    """The sender lives."""
    ASK = "ask"
    """These processes, all if none, are to call their rolls."""
    ROLL = "roll"
    """The sender calls its roll: what it told before is forgotten where it is not told again until END."""
    END = "end"


ACTIVE, IDLE, GONE = "A", "I", "-"


class PeerMessage(NamedTuple):
    sender: str
    number: int
    kind: Kind
    items: list[Any]


@dataclass(slots=True)
class Peer:
    """Another process. `called`: who was in the roll that it is calling. `is_doubted`: something of it was missed."""

    heard_at: float
    number: int = 0
    people: set[UUID] = field(default_factory=set)
    called: set[UUID] | None = None
    is_doubted: bool = True


class PeerSync:
    """One process's side of it; `process` is its name."""

    def __init__(self, people: People, process: str, lost_seconds: float) -> None:
        self.process = process
        self._people, self._lost_seconds = people, lost_seconds
        self._neighbours: dict[str, Peer] = {}
        self._number = 0

    # ------------------------------------------------------------------ telling

    def lines(self, kind: Kind, items: Iterable[Any] = ()) -> Sequence[str]:
        """The items in as many lines as it takes; one line where there are none."""
        lines: list[list[bytes]] = [[]]
        size = 0
        for item in map(orjson.dumps, items):
            if size + len(item) > LINE_BYTES:
                lines.append([])
                size = 0
            lines[-1].append(item)
            size += len(item) + 1
        return [self._line(kind, b",".join(each)) for each in lines]

    def _line(self, kind: Kind, items: bytes) -> str:
        self._number += 1
        head = orjson.dumps([self.process, self._number, kind, []])
        return (head[:-2] + items + b"]]").decode()

    def row(self, user_id: UUID, report: Report | None, active_at: int) -> list[Any]:
        """How this process sees a person; `active_at` counts where it sees them no more."""
        at = self._people.card(user_id).at
        if report is None:
            return [user_id.hex, GONE, active_at, at]
        return [user_id.hex, ACTIVE if report.is_active else IDLE, report.idle_since or 0, at]

    # ------------------------------------------------------------------ hearing

    def receive(self, text: str, clock: float) -> PeerMessage | None:
        """The line, if another process said it; what it says of its people has been noted.

        Raises ValueError, KeyError or TypeError for what `lines` did not make.
        """
        sender, number, kind, items = orjson.loads(text)
        line = PeerMessage(sender, number, Kind(kind), items)
        if sender == self.process:
            return None
        neighbour = self._neighbours.setdefault(sender, Peer(clock))
        neighbour.heard_at = clock
        self._count(neighbour, line)
        if line.kind is Kind.PEOPLE:
            for row in items:
                self._note(neighbour, sender, *row)
        elif line.kind is Kind.END:
            self._end_roll(neighbour, sender)
        return line

    def _count(self, neighbour: Peer, line: PeerMessage) -> None:
        is_next = line.number == neighbour.number + 1
        neighbour.number = line.number
        if line.kind is Kind.ROLL:
            neighbour.called, neighbour.is_doubted = set(), False
        elif not is_next:
            neighbour.called, neighbour.is_doubted = None, True

    def _note(self, neighbour: Peer, sender: str, person: str, state: str, since: int, _card: int) -> None:
        user_id = UUID(person)
        if state == GONE:
            neighbour.people.discard(user_id)
            self._people.withdraw(sender, user_id, since)
            return
        neighbour.people.add(user_id)
        if neighbour.called is not None:
            neighbour.called.add(user_id)
        self._people.report(sender, user_id, Report(since if state == IDLE else None))

    def _end_roll(self, neighbour: Peer, sender: str) -> None:
        called, neighbour.called = neighbour.called, None
        if called is not None:
            self._drop(neighbour, sender, neighbour.people - called)

    def _drop(self, neighbour: Peer, sender: str, people: set[UUID]) -> None:
        for user_id in people:
            self._people.withdraw(sender, user_id, seconds())
        neighbour.people -= people

    # ------------------------------------------------------------------ time

    def doubted(self) -> list[str]:
        """Who is to call the roll, because something of theirs was missed."""
        return [name for name, neighbour in self._neighbours.items() if neighbour.is_doubted]

    def excuse(self, clock: float) -> None:
        """Nobody could be heard until now."""
        for neighbour in self._neighbours.values():
            neighbour.heard_at = clock

    def forget_dead(self, clock: float) -> None:
        """Who has not been heard for so long has died, and its people are not there any more."""
        for name, neighbour in list(self._neighbours.items()):
            if clock - neighbour.heard_at >= self._lost_seconds:
                self._drop(neighbour, name, set(neighbour.people))
                del self._neighbours[name]


def read_status(person: str, at: int, hider: str | None, text: str | None, emoji: str | None) -> tuple[UUID, Status]:
    return UUID(person), Status(at, UUID(hider) if hider else None, text, emoji)


def write_status(user_id: UUID, card: Status) -> list[Any]:
    return [user_id.hex, card.at, card.hidden_by.hex if card.hidden_by else None, card.text, card.emoji]
