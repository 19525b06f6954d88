"""What is handed to a push service, and what became of it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PushMessage:
    """`topic`: a later one of the same topic takes its place while it waits at the push service."""

    payload: bytes
    topic: str
    urgent: bool


class PushOutcome(StrEnum):
    ACCEPTED = "taken"
    GONE = "gone"
    """The browser wants no more."""
    RETRY_LATER = "later"
    REFUSED = "refused"
    """It would be refused again."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """`after`: how long the push service wants to be left alone."""

    outcome: PushOutcome
    retry_after: timedelta | None = None
