"""Who is here, as all processes together see it: in memory, forgotten when it is not told again.

Each process reports on the people who are connected to it. What is shown of a person follows from the reports of all,
the most active one counting, and from what they say of themselves.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from roomcast.core.clock import now

REMEMBERED = 10_000
"""People who are away of whom it is known when they went, and what they said of themselves."""

COARSE_SECONDS = 30
"""Nobody is told more exactly when somebody was last active."""


class PresenceState(StrEnum):
    ACTIVE = "ACTIVE"
    IDLE = "IDLE"
    OFFLINE = "OFFLINE"


@dataclass(frozen=True, slots=True)
class Presence:
    """What everybody may see of a person. `last_active_at` is None where it is not known."""

    state: PresenceState
    last_active_at: datetime | None = None
    status_text: str | None = None
    status_emoji: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """How one process sees a person: active, or idle since `idle_since` (seconds since 1970)."""

    idle_since: int | None = None

    @property
    def is_active(self) -> bool:
        return self.idle_since is None


@dataclass(frozen=True, slots=True)
class Status:
    """What a person says of themselves; `hidden_by`: the session that had them shown as OFFLINE. `at`: when it was
    said, in milliseconds; of two cards the later one holds, in every process."""

    at: int = 0
    hidden_by: UUID | None = None
    text: str | None = None
    emoji: str | None = None


@dataclass(slots=True)
class Person:
    """`active_at`: when they were last seen active, as far as it may be told."""

    reports: dict[str, Report] = field(default_factory=dict)
    card: Status = Status()
    active_at: int | None = None

    @property
    def is_shown(self) -> bool:
        return bool(self.reports) and self.card.hidden_by is None

    def seen_active_at(self) -> int | None:
        """By those who look now."""
        if not self.is_shown:
            return self.active_at
        idle = [report.idle_since for report in self.reports.values()]
        return seconds() if None in idle else max(since for since in idle if since is not None)


class People:
    """`changed`: of whom something else may be shown since it was last emptied."""

    def __init__(self) -> None:
        self._people: dict[UUID, Person] = {}
        self._away: OrderedDict[UUID, None] = OrderedDict()
        self._shown: dict[UUID, None] = {}
        self.changed: set[UUID] = set()

    # ------------------------------------------------------------------ what is known

    def presence(self, user_id: UUID) -> Presence:
        person = self._people.get(user_id)
        if person is None:
            return Presence(PresenceState.OFFLINE)
        return Presence(_state(person), _coarse(person.seen_active_at()), person.card.text, person.card.emoji)

    def is_shown(self, user_id: UUID) -> bool:
        """Whether this person is anything but OFFLINE to others."""
        return user_id in self._shown

    @property
    def shown(self) -> Collection[UUID]:
        """All who are."""
        return self._shown.keys()

    def card(self, user_id: UUID) -> Status:
        person = self._people.get(user_id)
        return person.card if person is not None else Status()

    # ------------------------------------------------------------------ what changes it

    def report(self, process: str, user_id: UUID, report: Report) -> None:
        """That process sees the person so from now on."""
        person = self._person(user_id)
        person.reports[process] = report
        self._settle(user_id, person)

    def withdraw(self, process: str, user_id: UUID, active_at: int) -> None:
        """That process sees the person no more, and last saw them active then."""
        person = self._people.get(user_id)
        if person is None or person.reports.pop(process, None) is None:
            return
        if person.card.hidden_by is None:
            person.active_at = max(person.active_at or 0, active_at)
        self._settle(user_id, person)

    def write(self, user_id: UUID, card: Status) -> None:
        """The person says this of themselves, unless they have said something else since."""
        person = self._person(user_id)
        if card.at > person.card.at:
            person.active_at = person.seen_active_at()  # who hides is shown as they were
            person.card = card
        self._settle(user_id, person)

    def _person(self, user_id: UUID) -> Person:
        return self._people.setdefault(user_id, Person())

    def _settle(self, user_id: UUID, person: Person) -> None:
        self.changed.add(user_id)
        if not person.is_shown:
            self._shown.pop(user_id, None)
        else:
            self._shown.setdefault(user_id)
        if person.reports:
            self._away.pop(user_id, None)
        else:
            self._away.setdefault(user_id)
            self._forget()

    def _forget(self) -> None:
        while len(self._away) > REMEMBERED:
            del self._people[self._away.popitem(last=False)[0]]


def _state(person: Person) -> PresenceState:
    if not person.is_shown:
        return PresenceState.OFFLINE
    is_active = any(report.is_active for report in person.reports.values())
    return PresenceState.ACTIVE if is_active else PresenceState.IDLE


def _coarse(moment: int | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(moment - moment % COARSE_SECONDS, UTC)


def seconds() -> int:
    """The present moment, since 1970."""
    return int(now().timestamp())
