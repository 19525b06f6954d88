"""The audit log: who did what to whom, why and from where. An entry is written in the transaction of its action."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import IdField, TextField, TimeField
from roomcast.core.db import Work
from roomcast.core.errors import ValidationFailed
from roomcast.core.ids import uuid7
from roomcast.core.text_folding import is_printable

MAX_REASON = 500
"""Characters."""


class AuditEntry(SQLModel, table=True):
    """`target_id` is a global id. `room_id` is the room in which it was done. Ids sort by time: the newest entry is
    last."""

    __tablename__ = "audit_entries"
    id: UUID = IdField(default_factory=uuid7, primary_key=True)
    at: datetime = TimeField()
    actor_id: UUID | None = IdField(default=None, nullable=True, index=True)
    action: str = Field(max_length=40, index=True)
    target_id: str | None = Field(default=None, max_length=60, index=True)
    room_id: UUID | None = IdField(default=None, nullable=True)
    reason: str | None = TextField(default=None, nullable=True)
    ip_address: str | None = Field(default=None, max_length=45)


def record_audit_entry(
    work: Work,
    actor: Actor | None,
    action: str,
    target_id: str | None,
    reason: str | None = None,
    room_id: UUID | None = None,
) -> None:
    """Record an action, e.g. `record_audit_entry(work, actor, "USER_BANNED", "user_…", "spam")`. Action names
    are in the past tense.

    `room_id`: the room in which it was done, if any. `actor` is None for the server itself, e.g. for an automatic rule
    or the command line.
    """
    work.session.add(
        AuditEntry(
            at=now(),
            actor_id=actor.user_id if actor else None,
            action=action,
            target_id=target_id,
            room_id=room_id,
            reason=reason,
            ip_address=actor.ip_address if actor else None,
        )
    )


def check_reason(reason: str | None) -> str | None:
    """The reason as it will be stored, None for a blank one. Raises ValidationFailed."""
    if reason is not None and (len(reason) > MAX_REASON or not is_printable(reason, lines=True)):
        raise ValidationFailed(f"A reason has at most {MAX_REASON} printable characters.", path=("input", "reason"))
    return (reason or "").strip() or None
