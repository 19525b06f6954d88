"""What happens to a room and its members, as facts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from roomcast.core.events import Event, transient_field


class MemberChange(StrEnum):
    JOINED = "JOINED"
    LEFT = "LEFT"
    REMOVED = "REMOVED"
    ROLE_CHANGED = "ROLE_CHANGED"
    MUTED = "MUTED"
    UNMUTED = "UNMUTED"


@dataclass(frozen=True, kw_only=True)
class MemberChanged(Event):
    """`role` and `muted_until` are the person's afterwards; both None when they are no member any more. `by_id`: who
    did it, where the room is to be told so."""

    kind: ClassVar[str] = "MEMBER_CHANGED"

    user_id: UUID
    change: MemberChange
    role: str | None = None
    muted_until: datetime | None = None
    by_id: UUID | None = transient_field()

    @property
    def affected_user_id(self) -> UUID | None:
        return self.user_id

    @property
    def changes_access(self) -> bool:
        return self.change in (MemberChange.LEFT, MemberChange.REMOVED)


@dataclass(frozen=True, kw_only=True)
class RoomChanged(Event):
    """Something that the room says of itself: its name, its rules, whom it is open to. `new_name` and who
    gave it, `by_id`: if it has one."""

    kind: ClassVar[str] = "ROOM_CHANGED"
    rewrites_past: ClassVar[bool] = True  # it shows the room as it is now

    new_name: str | None = transient_field()
    by_id: UUID | None = transient_field()

    @property
    def changes_access(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class RoomDeleted(Event):
    """The last words of a room whose log is gone: never stored, never shown, only felt by open streams at once."""

    kind: ClassVar[str] = "ROOM_DELETED"

    @property
    def changes_access(self) -> bool:
        return True
