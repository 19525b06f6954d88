"""The clock: aware UTC times in whole milliseconds, so that a stored time equals the one in a response."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current UTC time, rounded down to milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
