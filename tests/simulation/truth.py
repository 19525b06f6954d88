"""The log as it was committed, and the events that each subscription was sent."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.loop import Violation


@dataclass(frozen=True, slots=True)
class Fact:
    """One committed event. `id` is unique in the run."""

    seq: int
    id: int
    kind: str
    person: str | None = None

    @property
    def changes_rights(self) -> bool:
        return self.kind == "removed"


@dataclass(slots=True)
class InMemoryLog:
    """One room: its facts, each at the seq after the one before, and who may read them.

    `timelines`: the log as it is, and as it was before each failover that lost its newest facts, the present one last.
    `epoch`: the first one that can begin after the last failover: what is shown in an earlier one may be of either log.
    `removed_at`: where each person who may not read any more lost the right.
    """

    topic: str
    founders: frozenset[str]
    members: set[str] = field(init=False)
    timelines: list[list[Fact]] = field(default_factory=lambda: [[]])
    removed_at: dict[str, int] = field(default_factory=dict)
    epoch: int = 0
    exists: bool = True

    def __post_init__(self) -> None:
        self.members = set(self.founders)

    @property
    def facts(self) -> list[Fact]:
        return self.timelines[-1]

    @property
    def tail(self) -> int:
        return len(self.facts)

    def append(self, id_: int, kind: str, person: str | None = None) -> Fact:
        fact = Fact(self.tail + 1, id_, kind, person)
        self.facts.append(fact)
        self._note_right(fact)
        return fact

    def _note_right(self, fact: Fact) -> None:
        person, kind = fact.person, fact.kind
        if person is not None and kind == "removed":
            self.members.discard(person)
            self.removed_at[person] = fact.seq
        elif person is not None:
            self.members.add(person)
            self.removed_at.pop(person, None)

    def after(self, seq: int, limit: int) -> Sequence[Fact]:
        return self.facts[seq : seq + limit]

    def fail_over(self, lost: int, next_epoch: int) -> None:
        """A replica that had not yet received the newest facts takes over. The server has to notice, and begins
        `next_epoch`."""
        self.epoch = next_epoch
        self.timelines.append(self.facts[: max(0, self.tail - lost)])
        self.members, self.removed_at = set(self.founders), {}
        for fact in self.facts:
            self._note_right(fact)


@dataclass(slots=True)
class Ledger:
    """What one client was shown by one subscription of a room, across all its connections.

    `shows`: which facts its document shows. `position`: its cursor; None before the first one was given. Each new fact
    must be the first shown fact after it: anything else is a loss, a repeat or a step backwards. `is_doubtful`: it was
    shown facts of two logs, because the server had not yet noticed a failover: it must be told to begin anew.
    """

    log: InMemoryLog
    person: Hashable
    name: str
    shows: Callable[[Fact], bool] = lambda fact: fact.kind != "hidden"
    position: int | None = None
    timeline: int = 0
    is_doubtful: bool = False
    shown: list[Fact] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether everything that the log holds now was shown, since the first position."""
        if self.position is None or self.is_doubtful:
            return False
        return self._is_of(len(self.log.timelines) - 1) and not self._missing(self.log.tail)

    def show(self, seq: int, id_: int | None, epoch: int) -> None:
        """`id_`: None where the document does not tell. `epoch`: that of the cursor beside it."""
        if self.position is None:
            self.reset(seq - 1)
        try:
            self._show(seq, id_)
        except Violation:
            self._doubt(epoch)
            self.position = seq

    def _doubt(self, epoch: int) -> None:
        """Raises the present violation where no failover explains it."""
        if epoch >= self.log.epoch:
            raise
        self.is_doubtful = True

    def _show(self, seq: int, id_: int | None) -> None:
        if self.is_doubtful:
            self._fail("after a failover something was shown before it was told to begin anew")
        self._follow_failover(seq, id_)
        missing = self._missing(seq - 1)
        fact = self._fact(seq)
        if missing:
            self._fail(f"seq {seq} was shown before {[fact.seq for fact in missing]}")
        if seq <= (self.position or 0):
            self._fail(f"seq {seq} was shown again, or after a later one")
        if fact is None or id_ not in (None, fact.id):
            self._fail(f"at seq {seq} something was shown that the log does not hold")
        self._check_right(seq)
        self.shown.append(fact)
        self.position = seq

    def advance(self, seq: int, what: str, epoch: int) -> None:
        """A position without an event: nothing shown may lie between."""
        if self.position is None:
            self.reset(seq)
        try:
            self._advance(seq, what)
        except Violation:
            self._doubt(epoch)
            self.position = seq

    def _advance(self, seq: int, what: str) -> None:
        if seq < (self.position or 0):
            self._fail(f"{what} names position {seq}, which is behind")
        for number in range(self.timeline + 1, len(self.log.timelines)):
            facts = self.log.timelines[number]
            if self._is_of(number) and seq <= len(facts) and not any(map(self.shows, facts[self.position or 0 : seq])):
                self.timeline = number
        if missing := self._missing(seq):
            self._fail(f"{what} names position {seq}, but {[fact.seq for fact in missing]} were not shown")
        self.position = seq

    def end(self, seq: int, epoch: int) -> None:
        """The server ended the stream at this position. It may count the removal that it tells of as shown."""
        missing = [fact for fact in self._missing(seq) if not (fact.seq == seq and fact.changes_rights)]
        if self.position is not None and missing and epoch >= self.log.epoch and not self.is_doubtful:
            self._fail(f"the end names position {seq}, but {[fact.seq for fact in missing]} were not shown")

    def reset(self, seq: int | None) -> None:
        """The client was told that its position cannot be honoured: it begins anew."""
        self.position, self.timeline, self.shown = seq, len(self.log.timelines) - 1, []
        self.is_doubtful = False

    def _fact(self, seq: int) -> Any:
        facts = self.log.timelines[self.timeline]
        return facts[seq - 1] if 0 < seq <= len(facts) else None

    def _missing(self, upto: int) -> Sequence[Fact]:
        facts = self.log.timelines[self.timeline][self.position or 0 : upto]
        return [fact for fact in facts if self.shows(fact)]

    def _is_of(self, timeline: int) -> bool:
        """Whether all that was shown, up to the position, is the same in that timeline."""
        place = self.position or 0
        there, here = self.log.timelines[timeline], self.log.timelines[self.timeline]
        return place <= len(there) and here[:place] == there[:place]

    def _follow_failover(self, seq: int, id_: int | None) -> None:
        """Who had not seen what a failover lost goes on in the new log without noticing."""
        for number in range(self.timeline + 1, len(self.log.timelines)):
            facts = self.log.timelines[number]
            if self._is_of(number) and seq <= len(facts) and id_ in (None, facts[seq - 1].id):
                self.timeline = number

    def _check_right(self, seq: int) -> None:
        removed_at = self.log.removed_at.get(str(self.person))
        if removed_at is not None and seq > removed_at:
            self._fail(f"seq {seq} was shown after the right was lost at {removed_at}")

    def _fail(self, what: str) -> None:
        raise Violation(f"{self.name} of {self.log.topic} (position {self.position}, tail {self.log.tail}): {what}")
