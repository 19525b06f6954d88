"""What happens to a room and its members, as facts."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from roomcast.core.events import Event


class MemberChange(StrEnum):
    JOINED = "JOINED"
    LEFT = "LEFT"


@dataclass(frozen=True, kw_only=True)
class MemberChanged(Event):
    """`role`: the person's role afterwards; None when they are no member any more."""

    kind: ClassVar[str] = "MEMBER_CHANGED"
    changes_access: ClassVar[bool] = True

    user_id: UUID
    change: MemberChange
    role: str | None = None
