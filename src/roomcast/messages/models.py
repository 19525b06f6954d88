"""What people and the system said. A message keeps the seq of its creation for ever."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlmodel import Field, SQLModel

from roomcast.core.columns import IdField, SeqField, TextField, TimeField
from roomcast.core.ids import uuid7


class MessageKind(StrEnum):
    USER = "USER"
    SYSTEM = "SYSTEM"


class Message(SQLModel, table=True):
    """`id` is the sender's clientMessageId where one was given: the idempotency key is the message's own name.

    `content_digest` names what was first sent, so that a repeated send is known from a misused key for ever, edits
    or not.
    """

    __tablename__ = "messages"
    room_id: UUID = IdField(primary_key=True, foreign_key="rooms.id", ondelete="CASCADE")
    seq: int = SeqField(primary_key=True)
    id: UUID = IdField(default_factory=uuid7, unique=True)
    author_id: UUID | None = IdField(default=None, nullable=True, foreign_key="users.id", ondelete="SET NULL")
    kind: str = Field(default=MessageKind.USER, max_length=16)
    body: str | None = TextField(default=None, nullable=True)
    content_digest: str = Field(default="", max_length=64)
    created_at: datetime = TimeField()
    edited_at: datetime | None = TimeField(default=None, nullable=True)
    revision: int = Field(default=1)
    deleted_at: datetime | None = TimeField(default=None, nullable=True)
    reply_to_id: UUID | None = IdField(default=None, nullable=True)


class FormerBody(SQLModel, table=True):
    """What a message said before an edit. `edited_at`: when that body was written."""

    __tablename__ = "former_bodies"
    message_id: UUID = IdField(primary_key=True, foreign_key="messages.id", ondelete="CASCADE")
    revision: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    body: str = TextField()
    edited_at: datetime = TimeField()
