"""The text form of timestamps, in GraphQL values and in protocol messages."""

from datetime import UTC, datetime


def format_timestamp(moment: datetime) -> str:
    """RFC 3339 with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
