"""Who did what to whom, why, from where: written in the action's own transaction, so that no deed lacks its entry."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import IdField, TextField, TimeField
from roomcast.core.db import Work
from roomcast.core.ids import uuid7


class AuditEntry(SQLModel, table=True):
    """`target_id` is a global id. Ids sort by time, so the newest entries are the last ones."""

    __tablename__ = "audit_entries"
    id: UUID = IdField(default_factory=uuid7, primary_key=True)
    at: datetime = TimeField()
    actor_id: UUID | None = IdField(default=None, nullable=True, index=True)
    action: str = Field(max_length=40, index=True)
    target_id: str | None = Field(default=None, max_length=60, index=True)
    reason: str | None = TextField(default=None, nullable=True)
    ip_address: str | None = Field(default=None, max_length=45)


def note(work: Work, actor: Actor, action: str, target_id: str | None, reason: str | None = None) -> None:
    """Enter a deed, e.g. `note(work, actor, "USER_BANNED", "user_…", "spam")`: actions in the past tense."""
    work.session.add(
        AuditEntry(
            at=now(),
            actor_id=actor.user_id,
            action=action,
            target_id=target_id,
            reason=reason,
            ip_address=actor.ip_address,
        )
    )
