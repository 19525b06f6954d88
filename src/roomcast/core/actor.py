"""The signed-in user on whose behalf a request acts, and where it comes from. The second argument of every action."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Actor:
    user_id: UUID
    session_id: UUID
    is_admin: bool
    token_expires_at: datetime
    ip_address: str | None = None

    @property
    def id(self) -> UUID:
        return self.user_id
