"""What people have complained about. Who decided what is kept in `core/audit.py`."""

from datetime import datetime
from uuid import UUID

from sqlmodel import SQLModel

from roomcast.core.columns import IdField, TimeField


class Report(SQLModel, table=True):
    """One person's one complaint about one message. Its reason stands in the audit log."""

    __tablename__ = "reports"
    message_id: UUID = IdField(primary_key=True, foreign_key="messages.id", ondelete="CASCADE")
    reporter_id: UUID = IdField(primary_key=True, foreign_key="users.id", ondelete="CASCADE", index=True)
    at: datetime = TimeField()
