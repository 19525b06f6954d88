"""Tables of messages. A message keeps the seq of its creation for ever.

`core/partitions.py` makes hash partitions of the tables that grow, by `room_id`. It is null in rows that are older than
migration 0011; the partitioning fills it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from roomcast.core.columns import FlagField, IdField, SeqField, TextField, TimeField
from roomcast.core.ids import uuid7
from roomcast.core.records import record_type


def _where(condition: str, on_sqlite: str | None = None) -> dict[str, Any]:
    """Options of a partial index. The condition must be spelled as queries spell it, or the planner ignores the
    index."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(on_sqlite or condition)}


class MessageKind(StrEnum):
    USER = "USER"
    SYSTEM = "SYSTEM"


class MessageRow(Protocol):
    """What decisions read of a message, and cannot write. A model has it, and so has a row of a direct query."""

    @property
    def id(self) -> UUID: ...

    @property
    def room_id(self) -> UUID: ...

    @property
    def author_id(self) -> UUID | None: ...

    @property
    def content_digest(self) -> str: ...

    @property
    def thread_root_id(self) -> UUID | None: ...

    @property
    def body(self) -> str | None: ...


class Message(SQLModel, table=True):
    """`id` is the clientMessageId where one was given, so the primary key of the message is also its idempotency key.

    `content_digest` hashes the message as it was first sent. It tells a repeated request from a reused key even after
    edits. `system_event` is what a SYSTEM message reports, encoded by `system_events.SystemEvent`; None for messages
    that are older than the column.
    """

    __tablename__ = "messages"
    __table_args__ = (
        sa.Index("ix_messages_pinned", "room_id", "pinned_at", **_where("pinned_at IS NOT NULL")),
        sa.Index("ix_messages_thread", "thread_root_id", "seq", **_where("thread_root_id IS NOT NULL")),
        sa.Index("ix_messages_to_all", "room_id", "seq", **_where("mentions_room", "mentions_room = 1")),
        sa.Index(
            "ix_messages_to_all_in_threads",
            "room_id",
            "seq",
            **_where(
                "mentions_room AND thread_root_id IS NOT NULL", "mentions_room = 1 AND thread_root_id IS NOT NULL"
            ),
        ),
    )
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
    thread_root_id: UUID | None = IdField(default=None, nullable=True)
    pinned_at: datetime | None = TimeField(default=None, nullable=True)
    mentions_room: bool = FlagField()
    has_attachments: bool = FlagField()
    system_event: str | None = TextField(default=None, nullable=True)


MessageRecord = record_type(Message, without=("content_digest",))

MessageWithDigest = record_type(Message)
"""What a send stores and finds."""


class FormerBody(SQLModel, table=True):
    """A body that an edit replaced. `edited_at`: when this body was written."""

    __tablename__ = "former_bodies"
    message_id: UUID = IdField(primary_key=True, foreign_key="messages.id", ondelete="CASCADE")
    revision: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    body: str = TextField()
    edited_at: datetime = TimeField()
    room_id: UUID | None = IdField(default=None, nullable=True)


class Reaction(SQLModel, table=True):
    """One user's reaction with one emoji to one message."""

    __tablename__ = "reactions"
    message_id: UUID = IdField(primary_key=True, foreign_key="messages.id", ondelete="CASCADE")
    emoji: str = Field(max_length=40, primary_key=True)
    user_id: UUID = IdField(primary_key=True, foreign_key="users.id", ondelete="CASCADE", index=True)
    created_at: datetime = TimeField()
    room_id: UUID | None = IdField(default=None, nullable=True)


class Mention(SQLModel, table=True):
    """A user mentioned in a message. `room_id`, `seq` and `thread_root_id` are copied here so that unread mentions are
    counted from an index. `thread_root_id` is null for all mentions that are older than migration 0008."""

    __tablename__ = "mentions"
    __table_args__ = (
        sa.Index("ix_mentions_place", "user_id", "room_id", "seq"),
        sa.Index("ix_mentions_thread", "thread_root_id", "user_id", "seq", **_where("thread_root_id IS NOT NULL")),
    )
    message_id: UUID = IdField(primary_key=True, foreign_key="messages.id", ondelete="CASCADE")
    user_id: UUID = IdField(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    room_id: UUID = IdField()
    seq: int = SeqField()
    thread_root_id: UUID | None = IdField(default=None, nullable=True)


class ThreadState(SQLModel, table=True):
    """What one user follows and has read of one thread. Kept when the user leaves the room, so that they follow the
    same threads after they come back.

    `is_following`: null while nothing has decided it: the user has only read the thread. `follows_after_seq`: where
    following began; earlier replies do not count as unread. `last_read_seq`: the newest reply that the user has read.
    `last_mention_seq`: no reply after it mentions the user. An index finds the few threads with unread mentions by it.
    """

    __tablename__ = "thread_states"
    __table_args__ = (
        sa.Index("ix_thread_states_user", "user_id", "room_id"),
        sa.Index("ix_thread_states_mentioned", "user_id", "room_id", **_where("last_mention_seq > last_read_seq")),
    )
    root_id: UUID = IdField(primary_key=True, foreign_key="messages.id", ondelete="CASCADE")
    user_id: UUID = IdField(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    room_id: UUID = IdField()
    is_following: bool | None = Field(default=None)
    follows_after_seq: int = SeqField()
    last_read_seq: int = SeqField()
    last_mention_seq: int = SeqField()


class MessageText(SQLModel, table=True):
    """A body in its search form (see `core.text_folding`). Ids rise with time. The search index over it differs by
    database and is created by the migration."""

    __tablename__ = "message_texts"
    id: int | None = Field(
        default=None,
        primary_key=True,
        sa_type=sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    )
    message_id: UUID = IdField(foreign_key="messages.id", ondelete="CASCADE", unique=True)
    text: str = TextField()
    room_id: UUID | None = IdField(default=None, nullable=True)
