"""What a system message reports, as data: clients word it in their own language."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from uuid import UUID

import orjson


class SystemEventKind(StrEnum):
    MEMBERS_JOINED = "MEMBERS_JOINED"
    MEMBERS_ADDED = "MEMBERS_ADDED"
    MEMBER_LEFT = "MEMBER_LEFT"
    MEMBER_REMOVED = "MEMBER_REMOVED"
    ROOM_RENAMED = "ROOM_RENAMED"


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """`actor_id`: who caused it. `user_ids`: whom it happened to, in the order of the sentence.

    The names are set for ROOM_RENAMED only.
    """

    kind: SystemEventKind
    actor_id: UUID
    user_ids: Sequence[UUID] = ()
    previous_name: str | None = None
    name: str | None = None

    def encode(self) -> str:
        """The value of the column `messages.system_event`. None values are left out."""
        values = {
            "kind": self.kind,
            "actor": str(self.actor_id),  # asyncpg has a UUID class of its own, which orjson refuses
            "users": list(map(str, self.user_ids)) or None,
            "previous_name": self.previous_name,
            "name": self.name,
        }
        return orjson.dumps({key: value for key, value in values.items() if value is not None}).decode()

    @classmethod
    def decode(cls, stored: str) -> Self:
        values = orjson.loads(stored)
        return cls(
            SystemEventKind(values["kind"]),
            UUID(values["actor"]),
            tuple(map(UUID, values.get("users", ()))),
            values.get("previous_name"),
            values.get("name"),
        )


def user_ids_of(encoded: Iterable[str | None]) -> Iterator[UUID]:
    """The actors and users of these encoded events, to load them together."""
    for event in map(SystemEvent.decode, filter(None, encoded)):
        yield event.actor_id
        yield from event.user_ids
