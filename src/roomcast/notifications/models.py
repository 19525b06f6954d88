"""Tables of push subscriptions, of the notifier's positions in the rooms' logs, and of pending pushes.

A pending push is a row until a push service has accepted it, so that no crash loses one.
"""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from roomcast.core.columns import IdField, SeqField, TextField, TimeField


class PushSubscription(SQLModel, table=True):
    """A browser's subscription at its push service. `id`: a hash of the endpoint, which is too long for a key.

    It belongs to the session it was made in. Keys are base64url without padding.
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
    """How far the notifier has read one room's log. Events above `seq` are new to it."""

    __tablename__ = "push_positions"
    room_id: UUID = IdField(primary_key=True, foreign_key="rooms.id", ondelete="CASCADE")
    seq: int = SeqField()


class PendingPush(SQLModel, table=True):
    """A push that is due: there are unseen messages in the room above `after_seq`; `newest_seq` is the newest one
    found.

    `due_at` is also the lease: a process that sends the push moves it into the future. If the process dies, the push is
    due again and another process sends it.
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
