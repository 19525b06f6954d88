"""Events about rooms and their members."""

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
    """A membership changed. `role` and `muted_until`: the values after the change; None when the membership ended.
    `by_id`: who caused it, when a system message shall name them."""

    kind: ClassVar[str] = "MEMBER_CHANGED"
    rewrites_past: ClassVar[bool] = True  # Its GraphQL type shows the member as they are now.

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
    """The room's own data changed, like its name, visibility or limits. `new_name`, `previous_name` and
    `by_id` (who gave the new one) are set only when the name changed."""

    kind: ClassVar[str] = "ROOM_CHANGED"
    rewrites_past: ClassVar[bool] = True  # Its GraphQL type shows the room as it is now.

    new_name: str | None = transient_field()
    previous_name: str | None = transient_field()
    by_id: UUID | None = transient_field()

    @property
    def changes_access(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class RoomDeleted(Event):
    """The room and its log were deleted. The event is not stored; it only ends the open streams of the room."""

    kind: ClassVar[str] = "ROOM_DELETED"

    @property
    def changes_access(self) -> bool:
        return True
