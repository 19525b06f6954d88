"""The time, as the product knows it: aware, UTC, whole milliseconds, so that what is stored equals what is shown."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment in UTC, cut to milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
