"""What is handed to a push service, and what became of it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Letter:
    """`topic`: a later one of the same topic takes its place while it waits at the push service."""

    payload: bytes
    topic: str
    urgent: bool


class Fate(StrEnum):
    TAKEN = "taken"
    GONE = "gone"
    """The browser wants no more."""
    LATER = "later"
    REFUSED = "refused"
    """It would be refused again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`after`: how long the push service wants to be left alone."""

    fate: Fate
    after: timedelta | None = None
