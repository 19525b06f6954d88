"""Tables of reports. The audit log itself is in `core/audit.py`."""

from datetime import datetime
from uuid import UUID

from sqlmodel import SQLModel

from roomcast.core.columns import IdField, TimeField


class Report(SQLModel, table=True):
    """That a user has reported a message. The reason is in the audit log."""

    __tablename__ = "reports"
    message_id: UUID = IdField(primary_key=True, foreign_key="messages.id", ondelete="CASCADE")
    reporter_id: UUID = IdField(primary_key=True, foreign_key="users.id", ondelete="CASCADE", index=True)
    at: datetime = TimeField()
