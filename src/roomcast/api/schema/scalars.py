"""The contract's own scalars."""

from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID

import strawberry
from strawberry.types.scalar import ScalarDefinition

from roomcast.api.timestamps import format_timestamp

Cursor = NewType("Cursor", str)
DateTime = datetime
Seq = NewType("Seq", int)
URL = NewType("URL", str)

MAX_SEQ = 2**53 - 1


def read_time(text: Any) -> datetime:
    if not isinstance(text, str):
        raise ValueError("a DateTime is an RFC 3339 string")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a DateTime names its offset from UTC, for example Z")
    return moment.astimezone(UTC)


def read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string is expected")
    return value


def read_seq(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEQ:
        raise ValueError("a sequence number is an integer from 0 to 2^53-1")
    return value


def read_uuid(value: Any) -> UUID:
    text = read_text(value)
    if len(text) != 36:  # the library also takes braces, "urn:" and missing dashes
        raise ValueError("a UUID is written as 8-4-4-4-12 hexadecimal digits")
    return UUID(text)


SCALARS: dict[object, ScalarDefinition] = {
    Cursor: strawberry.scalar(
        name="Cursor",
        description="Opaque position in a room's log (epoch, room, sequence). Store it, send it back, never parse it.",
        serialize=str,
        parse_value=read_text,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="RFC 3339 timestamp, always UTC.",
        serialize=format_timestamp,
        parse_value=read_time,
    ),
    Seq: strawberry.scalar(
        name="Seq",
        description="A room's sequence number: a JSON integer up to 2^53-1 (GraphQL Int ends at 32 bits).",
        serialize=int,
        parse_value=read_seq,
    ),
    URL: strawberry.scalar(name="URL", serialize=str, parse_value=read_text),
    UUID: strawberry.scalar(name="UUID", serialize=str, parse_value=read_uuid),
}
