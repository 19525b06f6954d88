"""Facts: frozen, in the past tense. An action records them, the log keeps them, the hub delivers them."""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from roomcast.core.bounded_cache import BoundedCache

CACHED_EVENTS = 100
"""Events of this process that `EventCodec` keeps."""

KINDS: dict[str, type["Event"]] = {}


def transient_field(**options: Any) -> Any:
    """A field that travels with the event while it is fresh and is never stored: the log keeps no bodies."""
    return field(default=None, compare=False, repr=False, metadata={"carried": True}, **options)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One durable change in a room's log. `seq` rises by one per room and is given by the log (0 until then)."""

    kind: ClassVar[str]
    is_personal: ClassVar[bool] = False
    """Whether nobody but the person whom it concerns is to hear of it."""
    rewrites_past: ClassVar[bool] = False
    """Whether what was shown before may look different now."""

    room_id: UUID
    at: datetime
    seq: int = 0

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            KINDS[cls.kind] = cls

    @property
    def moves_activity(self) -> bool:
        """Whether the room counts as active by it: what people say there does, joins and replies in threads do not."""
        return False

    @property
    def changes_access(self) -> bool:
        """Whether somebody may have lost the right to read the room by it."""
        return False

    @property
    def affected_user_id(self) -> UUID | None:
        """The person whose own list of rooms changes by it, whether they listen to the room or not."""
        return None

    def facts(self) -> dict[str, Any]:
        """What the log stores besides room, seq, kind and time: JSON-ready."""
        return {name: _plain(value) for name in _stored(self.kind) if (value := getattr(self, name)) is not None}

    def transient_payload(self) -> dict[str, Any] | None:
        """What travels with the event while it is fresh, so that no listener reads it back: JSON-ready."""
        return None

    @classmethod
    def read_transient(cls, cargo: dict[str, Any]) -> dict[str, Any]:
        """The carried fields that `cargo` was made of."""
        return {}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


@cache
def _stored(kind: str) -> tuple[str, ...]:
    base = {"room_id", "at", "seq"}
    return tuple(f.name for f in fields(KINDS[kind]) if f.name not in base and not f.metadata.get("carried"))


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(KINDS[kind])


def from_facts(kind: str, room_id: UUID, seq: int, at: datetime, data: dict[str, Any]) -> Event:
    """The event as the log stored it."""
    event: Event = _adapter(kind).validate_python({"room_id": room_id, "seq": seq, "at": at, **data})
    return event


# ------------------------------------------------------------------ between processes


def pack(event: Event) -> str:
    """One line of text that `unpack` reads in any process of the same release."""
    return orjson.dumps(
        [event.kind, str(event.room_id), event.seq, event.at, event.facts(), event.transient_payload()]
    ).decode()


class EventCodec:
    """`pack` and `unpack` for one process, which need not read the lines that it wrote itself: the same line is the
    same event. It remembers the last `CACHED_EVENTS` of them."""

    def __init__(self) -> None:
        self._own: BoundedCache[str, Event] = BoundedCache(CACHED_EVENTS)

    def pack(self, event: Event) -> str:
        line = pack(event)
        self._own.put(line, event)
        return line

    def unpack(self, line: str) -> Event:
        """Raises ValueError or KeyError for what `pack` did not make."""
        return self._own.get(line) or unpack(line)


def kind_of_packed(line: str) -> str:
    """The kind of what `pack` made, without reading the rest."""
    return line[2 : line.find('"', 2)]


def unpack(line: str) -> Event:
    """Raises ValueError or KeyError for what `pack` did not make."""
    try:
        kind, room_id, seq, at, data, cargo = orjson.loads(line)
        event = from_facts(kind, UUID(room_id), seq, datetime.fromisoformat(at), data)
        return replace(event, **event.read_transient(cargo)) if cargo else event
    except (AttributeError, TypeError) as error:  # a part of another type than ours
        raise ValueError("no event of ours") from error
