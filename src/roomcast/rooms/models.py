"""Tables of rooms and memberships. A user can read a room when they are a member or the room is public."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from roomcast.core.columns import FlagField, IdField, SeqField, TextField, TimeField
from roomcast.core.ids import uuid7
from roomcast.core.records import record_type


class RoomKind(StrEnum):
    CHANNEL = "CHANNEL"
    DIRECT = "DIRECT"


class RoomVisibility(StrEnum):
    PUBLIC = "PUBLIC"
    PRIVATE = "PRIVATE"


class RoomRole(StrEnum):
    OWNER = "OWNER"
    MODERATOR = "MODERATOR"
    MEMBER = "MEMBER"
    READ_ONLY = "READ_ONLY"


class NotificationLevel(StrEnum):
    ALL = "ALL"
    MENTIONS = "MENTIONS"
    NONE = "NONE"


class RoomRow(Protocol):
    """What decisions read of a room, and cannot write. A model has it, and so has a row of a direct query."""

    @property
    def id(self) -> UUID: ...

    @property
    def kind(self) -> str: ...

    @property
    def visibility(self) -> str: ...

    @property
    def archived_at(self) -> datetime | None: ...

    @property
    def slow_mode_seconds(self) -> int: ...


class MembershipRow(Protocol):
    """What decisions read of a membership, and cannot write. A model has it, and so has a row of a direct query."""

    @property
    def room_id(self) -> UUID: ...

    @property
    def user_id(self) -> UUID: ...

    @property
    def role(self) -> str: ...

    @property
    def muted_until(self) -> datetime | None: ...

    @property
    def last_sent_at(self) -> datetime | None: ...


class Room(SQLModel, table=True):
    """`name_key`: the name in search form, for search and order. `public_name_key`: the folded name of a public room,
    null otherwise. So private names need not be unique, and a conflict never reveals one. `direct_key`: a hash of
    the members of a direct conversation."""

    __tablename__ = "rooms"
    __table_args__ = (sa.UniqueConstraint("created_by_id", "idempotency_key"),)
    id: UUID = IdField(default_factory=uuid7, primary_key=True)
    kind: str = Field(default=RoomKind.CHANNEL, max_length=16)
    visibility: str = Field(default=RoomVisibility.PUBLIC, max_length=16)
    name: str | None = Field(default=None, max_length=80)
    name_key: str | None = Field(default=None, max_length=200)
    public_name_key: str | None = Field(default=None, max_length=200, unique=True)
    direct_key: str | None = Field(default=None, max_length=64, unique=True)
    topic: str | None = Field(default=None, max_length=250)
    description: str | None = TextField(default=None, nullable=True)
    created_at: datetime = TimeField()
    created_by_id: UUID | None = IdField(default=None, nullable=True, foreign_key="users.id", ondelete="SET NULL")
    archived_at: datetime | None = TimeField(default=None, nullable=True)
    slow_mode_seconds: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    member_count: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    idempotency_key: UUID | None = IdField(default=None, nullable=True)


class Membership(SQLModel, table=True):
    """`muted_until`: a moderator's mute. `last_sent_at`: kept up while the room is in slow mode. `opened`: whether this
    user has opened the direct conversation; until its first message it is listed only for them.

    `threads_read_seq`: replies in threads up to this seq count as read: those from before the user joined.
    `thread_changes` counts what the user has read or followed of the room's threads, so that inboxes find changes whose
    frames were lost.
    """

    __tablename__ = "memberships"
    room_id: UUID = IdField(primary_key=True, foreign_key="rooms.id", ondelete="CASCADE")
    user_id: UUID = IdField(primary_key=True, foreign_key="users.id", ondelete="CASCADE", index=True)
    role: str = Field(default=RoomRole.MEMBER, max_length=16)
    joined_at: datetime = TimeField()
    last_read_seq: int = SeqField()
    notification_level: str = Field(
        default=NotificationLevel.ALL, max_length=16, sa_column_kwargs={"server_default": NotificationLevel.ALL.value}
    )
    snoozed_until: datetime | None = TimeField(default=None, nullable=True)
    favourite: bool = FlagField()
    muted_until: datetime | None = TimeField(default=None, nullable=True)
    last_sent_at: datetime | None = TimeField(default=None, nullable=True)
    opened: bool = FlagField()
    threads_read_seq: int = SeqField()
    thread_changes: int = SeqField()


RoomRecord = record_type(Room, without=("name_key", "public_name_key", "direct_key", "idempotency_key"))
MembershipRecord = record_type(Membership, without=("opened", "threads_read_seq", "thread_changes"))


class FormerMember(SQLModel, table=True):
    """What a room keeps of a membership that ended, so that leaving and returning does not undo a moderator's decision.

    `removed_at`: only invites created later can readmit a removed user.
    """

    __tablename__ = "former_members"
    room_id: UUID = IdField(primary_key=True, foreign_key="rooms.id", ondelete="CASCADE")
    user_id: UUID = IdField(primary_key=True, foreign_key="users.id", ondelete="CASCADE", index=True)
    role: str = Field(max_length=16)
    removed: bool = FlagField()
    removed_at: datetime | None = TimeField(default=None, nullable=True)
    muted_until: datetime | None = TimeField(default=None, nullable=True)
    last_sent_at: datetime | None = TimeField(default=None, nullable=True)


class Invite(SQLModel, table=True):
    """A code with which its holder can join a room."""

    __tablename__ = "invites"
    code: str = Field(max_length=32, primary_key=True)
    room_id: UUID = IdField(foreign_key="rooms.id", ondelete="CASCADE", index=True)
    created_by_id: UUID = IdField(foreign_key="users.id", ondelete="CASCADE", index=True)
    created_at: datetime = TimeField()
    expires_at: datetime | None = TimeField(default=None, nullable=True)
    max_uses: int | None = Field(default=None)
    uses: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    revoked_at: datetime | None = TimeField(default=None, nullable=True)
