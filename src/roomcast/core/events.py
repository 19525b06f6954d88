"""Events: frozen facts with names in the past tense. An action records them, the log stores them, the hub delivers
them."""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Self
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from roomcast.core.bounded_cache import BoundedCache

TRACE_CHARACTERS = 55
"""Of a trace context, as in W3C's `traceparent`."""

CACHED_EVENTS = 100
"""Events of this process that `EventCodec` keeps."""

KINDS: dict[str, type["Event"]] = {}


def transient_field(**options: Any) -> Any:
    """A field that is published with a new event and never stored, e.g. the text of a message."""
    return field(default=None, compare=False, repr=False, metadata={"transient": True}, **options)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One durable change in a room's log. `seq` rises by one per room and is given by the log (0 until then)."""

    kind: ClassVar[str]
    is_personal: ClassVar[bool] = False
    """Whether only the affected user receives it."""
    rewrites_past: ClassVar[bool] = False
    """Whether events that were delivered before may look different now."""

    room_id: UUID
    at: datetime
    seq: int = 0

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            KINDS[cls.kind] = cls

    @property
    def moves_activity(self) -> bool:
        """Whether it counts as activity of the room. Messages do; joins and replies in threads do not."""
        return False

    @property
    def changes_access(self) -> bool:
        """Whether a user may have lost the right to read the room by it."""
        return False

    @property
    def affected_user_id(self) -> UUID | None:
        """The user whose list of rooms it changes. They receive it even without a subscription of the room."""
        return None

    def at_seq(self, seq: int) -> Self:
        """This event with the seq that the log gives it."""
        return replace(self, seq=seq)

    def facts(self) -> dict[str, Any]:
        """What the log stores besides room, seq, kind and time, as JSON values."""
        return {name: _plain(value) for name in _stored(self.kind) if (value := getattr(self, name)) is not None}

    def transient_payload(self) -> dict[str, Any] | None:
        """The transient fields as values that orjson encodes. They are published with the event, so that receivers need
        not load them."""
        return None

    @classmethod
    def read_transient(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """The transient fields from the JSON of what `transient_payload` returned."""
        return {}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


@cache
def _stored(kind: str) -> tuple[str, ...]:
    base = {"room_id", "at", "seq"}
    return tuple(f.name for f in fields(KINDS[kind]) if f.name not in base and not f.metadata.get("transient"))


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(KINDS[kind])


def from_facts(kind: str, room_id: UUID, seq: int, at: datetime, data: dict[str, Any]) -> Event:
    """The event from the columns of a log entry."""
    event: Event = _adapter(kind).validate_python({"room_id": room_id, "seq": seq, "at": at, **data})
    return event


# ------------------------------------------------------------------ between processes


def pack(event: Event, trace: str | None = None) -> str:
    """Encode an event as one line of text, which `unpack` reads in any process of the same release. `trace`: the
    context of the span that publishes it; without one the line is not longer."""
    parts = [event.kind, str(event.room_id), event.seq, event.at, event.facts(), event.transient_payload()]
    return orjson.dumps(parts if trace is None else [*parts, trace], default=_encode_id).decode()


def _encode_id(value: object) -> str:
    """Of asyncpg's class of UUIDs, which orjson does not know."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError


class EventCodec:
    """`pack` and `unpack` with a cache of the last `CACHED_EVENTS` events that this process packed, because it also
    receives the events that it publishes. Equal lines are equal events."""

    def __init__(self) -> None:
        self._own: BoundedCache[str, Event] = BoundedCache(CACHED_EVENTS)

    def pack(self, event: Event, trace: str | None = None) -> str:
        line = pack(event, trace)
        self._own.put(line, event)
        return line

    def unpack(self, line: str) -> Event:
        """Decode a line. Raises ValueError or KeyError for a line that `pack` did not make."""
        return self._own.get(line) or unpack(line)


def kind_of_packed(line: str) -> str:
    """The kind of a packed event, without decoding the rest of the line."""
    return line[2 : line.find('"', 2)]


def trace_of_packed(line: str) -> str | None:
    """The context that `pack` was given, without decoding the line."""
    return line[-TRACE_CHARACTERS - 2 : -2] if line.endswith('"]') else None


def unpack(line: str) -> Event:
    """Decode a line. Raises ValueError or KeyError for a line that `pack` did not make."""
    try:
        kind, room_id, seq, at, data, payload, *_trace = orjson.loads(line)
        event = from_facts(kind, UUID(room_id), seq, datetime.fromisoformat(at), data)
        return replace(event, **event.read_transient(payload)) if payload else event
    except (AttributeError, TypeError) as error:  # a part has another type than `pack` writes
        raise ValueError("not an event that `pack` made") from error
