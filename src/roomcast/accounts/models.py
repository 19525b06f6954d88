"""Tables of users, sessions and refresh tokens."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from roomcast.core.columns import IdField, TextField, TimeField
from roomcast.core.ids import uuid7
from roomcast.core.records import record_type


class UserRole(StrEnum):
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"


class UserRow(Protocol):
    """What a sign-in reads of a locked account, and cannot write."""

    @property
    def id(self) -> UUID: ...

    @property
    def password_hash(self) -> str: ...


class User(SQLModel, table=True):
    """An account.

    `search_key`: the text that user search matches, without the e-mail address. `username_skeleton`: equal for
    usernames that look alike; null for accounts that already had a look-alike when skeletons were introduced.
    """

    __tablename__ = "users"
    id: UUID = IdField(default_factory=uuid7, primary_key=True)
    username: str = Field(max_length=32)
    username_key: str = Field(max_length=32, unique=True)
    username_skeleton: str | None = Field(default=None, max_length=32, unique=True)
    display_name: str = Field(max_length=64)
    email: str | None = Field(default=None, max_length=254)
    email_key: str | None = Field(default=None, max_length=254, unique=True)
    bio: str | None = Field(default=None, max_length=500)
    avatar_id: UUID | None = IdField(default=None, nullable=True)
    role: str = Field(default=UserRole.MEMBER, max_length=16)
    search_key: str = TextField()
    password_hash: str = TextField()
    created_at: datetime = TimeField()
    banned_at: datetime | None = TimeField(default=None, nullable=True)


UserRecord = record_type(
    User, without=("username_key", "username_skeleton", "email_key", "search_key", "password_hash")
)

PUBLIC_FIELDS = ("id", "username", "display_name", "bio", "avatar_id", "role", "created_at")
"""The fields that all users may see."""


def encode_public_profile(user: User) -> dict[str, Any]:
    """The public fields of a user, ready for orjson, to send to other processes."""
    return {name: getattr(user, name) for name in PUBLIC_FIELDS}


def decode_public_profile(shown: dict[str, Any]) -> User:
    """A user from `encode_public_profile`; all other fields are unset."""
    avatar = UUID(shown["avatar_id"]) if shown["avatar_id"] else None
    moment = datetime.fromisoformat(shown["created_at"])
    return User(**{**shown, "id": UUID(shown["id"]), "avatar_id": avatar, "created_at": moment})


class Session(SQLModel, table=True):
    """One login of one device. It owns a chain of refresh tokens; reuse of a spent token ends the session."""

    __tablename__ = "sessions"
    id: UUID = IdField(default_factory=uuid7, primary_key=True)
    user_id: UUID = IdField(foreign_key="users.id", ondelete="CASCADE", index=True)
    device_name: str | None = Field(default=None, max_length=100)
    ip_address: str | None = Field(default=None, max_length=45)
    created_at: datetime = TimeField()
    last_seen_at: datetime = TimeField()
    expires_at: datetime = TimeField(index=True)
    revoked_at: datetime | None = TimeField(default=None, nullable=True, index=True)


class SessionState(Protocol):
    """What decides whether a session has ended, and what its user may do."""

    @property
    def id(self) -> UUID: ...

    @property
    def user_id(self) -> UUID: ...

    @property
    def role(self) -> str: ...

    @property
    def banned_at(self) -> datetime | None: ...

    @property
    def expires_at(self) -> datetime: ...

    @property
    def revoked_at(self) -> datetime | None: ...


class RefreshToken(SQLModel, table=True):
    """One token in the chain of a session. Only a hash of its secret is stored.

    `parent_id`: the token that was exchanged for this one. `presented_at`: when it was first used; a token is spent as
    soon as its successor has been presented. `replaced_at`: when its parent was presented again later than
    `REUSE_LEEWAY` and got another successor.
    """

    __tablename__ = "refresh_tokens"
    __table_args__ = (sa.UniqueConstraint("parent_id"),)
    id: UUID = IdField(default_factory=uuid7, primary_key=True)
    session_id: UUID = IdField(foreign_key="sessions.id", ondelete="CASCADE", index=True)
    parent_id: UUID | None = IdField(default=None, nullable=True)
    secret_hash: str = Field(max_length=64)
    created_at: datetime = TimeField()
    presented_at: datetime | None = TimeField(default=None, nullable=True, index=True)
    replaced_at: datetime | None = TimeField(default=None, nullable=True)
    expires_at: datetime = TimeField(index=True)
