"""What is sent to a push service, and the result."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PushMessage:
    """`topic`: a later message with the same topic replaces this one while the push service still holds it."""

    payload: bytes
    topic: str
    urgent: bool


class PushOutcome(StrEnum):
    """The values are labels of the metric `roomcast_pushes`."""

    ACCEPTED = "taken"
    GONE = "gone"
    """The subscription has ended."""
    RETRY_LATER = "later"
    REFUSED = "refused"
    """A retry would be refused as well."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """`retry_after`: how long the push service asked to wait."""

    outcome: PushOutcome
    retry_after: timedelta | None = None
