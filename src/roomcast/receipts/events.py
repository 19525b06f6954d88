"""What is told of reading: a signal, never a fact of the log."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from roomcast.core.events import Event


@dataclass(frozen=True, kw_only=True)
class ReadMarkerMoved(Event):
    """Somebody has read up to `up_to_seq`. Who does not listen at this moment never hears it."""

    kind: ClassVar[str] = "READ_MARKER_MOVED"

    user_id: UUID
    up_to_seq: int


@dataclass(frozen=True, kw_only=True)
class MembershipStateChanged(Event):
    """Somebody has read on, or wants to be called otherwise (`preferences`): their other devices look again."""

    kind: ClassVar[str] = "PLACE_CHANGED"
    is_personal: ClassVar[bool] = True

    user_id: UUID
    preferences: bool = False

    @property
    def affected_user_id(self) -> UUID | None:
        return self.user_id
