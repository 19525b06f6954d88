"""Signals about reading. They are never stored in the event log."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from roomcast.core.events import Event


@dataclass(frozen=True, kw_only=True)
class ReadMarkerMoved(Event):
    """A member has read up to `up_to_seq`. Shown to the listeners of the room at that moment and never replayed."""

    kind: ClassVar[str] = "READ_MARKER_MOVED"

    user_id: UUID
    up_to_seq: int


@dataclass(frozen=True, kw_only=True)
class ReadStateChanged(Event):
    """The user's read position in the room has moved, or (`preferences`) their preferences for it have changed.

    Published on the user's own topic only, for the inboxes on all their devices. `kind` and the field names travel
    between processes: other releases read them.
    """

    kind: ClassVar[str] = "PLACE_CHANGED"
    is_personal: ClassVar[bool] = True

    user_id: UUID
    preferences: bool = False

    @property
    def affected_user_id(self) -> UUID | None:
        return self.user_id


@dataclass(frozen=True, kw_only=True)
class ThreadStateChanged(Event):
    """The user has read a thread or decided whether to follow it. Published as `ReadStateChanged` is."""

    kind: ClassVar[str] = "THREAD_STATE_CHANGED"
    is_personal: ClassVar[bool] = True

    user_id: UUID
    thread_root_id: UUID

    @property
    def affected_user_id(self) -> UUID | None:
        return self.user_id
