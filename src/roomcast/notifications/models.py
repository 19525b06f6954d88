"""Where people's browsers can be reached, how far each room's log has been looked through for them, what is to be said.

A push is a row from the moment that there is news until a push service has taken it, so that no crash loses one.
"""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from roomcast.core.columns import IdField, SeqField, TextField, TimeField


class PushSubscription(SQLModel, table=True):
    """One browser, as its push service knows it. `id` is the endpoint's digest: an address is too long for a key.

    It goes with the session that it was made in. Keys are base64url without padding.
    """

    __tablename__ = "push_subscriptions"
    id: str = Field(max_length=64, primary_key=True)
    user_id: UUID = IdField(foreign_key="users.id", ondelete="CASCADE", index=True)
    session_id: UUID = IdField(foreign_key="sessions.id", ondelete="CASCADE", index=True)
    endpoint: str = TextField()
    host: str = Field(max_length=255)
    p256dh: str = Field(max_length=87)
    auth: str = Field(max_length=22)
    created_at: datetime = TimeField()


class PushPosition(SQLModel, table=True):
    """The notifier's cursor in one room's log: what is above it has not been looked at."""

    __tablename__ = "push_positions"
    room_id: UUID = IdField(primary_key=True, foreign_key="rooms.id", ondelete="CASCADE")
    seq: int = SeqField()


class PendingPush(SQLModel, table=True):
    """A browser is to be told that something above `after_seq` was said in a room; `newest_seq` is what was last seen
    to be news. `due_at` is also a lease: whoever sends it puts it off, and who dies meanwhile has it sent by another.
    """

    __tablename__ = "pending_pushes"
    subscription_id: str = Field(
        max_length=64, primary_key=True, foreign_key="push_subscriptions.id", ondelete="CASCADE"
    )
    room_id: UUID = IdField(primary_key=True, foreign_key="rooms.id", ondelete="CASCADE", index=True)
    after_seq: int = SeqField()
    newest_seq: int = SeqField()
    due_at: datetime = TimeField(index=True)
    attempts: int = Field(default=0)
