"""Custom scalars."""

from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID

import strawberry
from strawberry.types.scalar import ScalarDefinition

Cursor = NewType("Cursor", str)
DateTime = datetime
Long = NewType("Long", int)
Seq = NewType("Seq", int)
URL = NewType("URL", str)

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that JavaScript numbers hold exactly."""


def serialize_time(moment: datetime) -> str:
    """RFC 3339 with milliseconds and Z."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def parse_time(text: Any) -> datetime:
    if not isinstance(text, str):
        raise ValueError("a DateTime must be an RFC 3339 string")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a DateTime must have an offset from UTC, for example Z")
    return moment.astimezone(UTC)


def parse_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("the value must be a string")
    return value


def parse_seq(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SAFE_INTEGER:
        raise ValueError("a sequence number must be an integer from 0 to 2^53-1")
    return value


def parse_long(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_SAFE_INTEGER:
        raise ValueError("a Long must be an integer from -(2^53-1) to 2^53-1")
    return value


def parse_uuid(value: Any) -> UUID:
    text = parse_text(value)
    if len(text) != 36:  # UUID() also accepts braces, "urn:" and missing dashes
        raise ValueError("a UUID must be written as 8-4-4-4-12 hexadecimal digits")
    return UUID(text)


SCALARS: dict[object, ScalarDefinition] = {
    Cursor: strawberry.scalar(
        name="Cursor",
        description="A position in the event log of a room. It is opaque: store it and send it back, but never parse "
        "it.",
        serialize=str,
        parse_value=parse_text,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="An RFC 3339 timestamp. The server sends milliseconds and `Z`, e.g. `2026-01-31T09:30:00.000Z`, "
        "and accepts any offset from UTC.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=serialize_time,
        parse_value=parse_time,
    ),
    Seq: strawberry.scalar(
        name="Seq",
        description="The sequence number of an event in its room: a JSON integer up to 2^53-1. Int has only 32 bits.",
        serialize=int,
        parse_value=parse_seq,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A JSON integer from -(2^53-1) to 2^53-1, which JavaScript numbers hold exactly. Int has only 32 "
        "bits.",
        serialize=int,
        parse_value=parse_long,
    ),
    URL: strawberry.scalar(
        name="URL",
        description="An absolute URL.",
        specified_by_url="https://url.spec.whatwg.org/",
        serialize=str,
        parse_value=parse_text,
    ),
    UUID: strawberry.scalar(
        name="UUID",
        description="A UUID as 8-4-4-4-12 hexadecimal digits. The server sends lower case and accepts both cases.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc9562",
        serialize=str,
        parse_value=parse_uuid,
    ),
}
