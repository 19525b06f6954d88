"""People, their sessions and the tokens that renew those. Never shown as they are: a table is no GraphQL type."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from roomcast.core.columns import IdField, TextField, TimeField
from roomcast.core.ids import uuid7


class UserRole(StrEnum):
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"


class User(SQLModel, table=True):
    """`search_key`: what a search for people looks through. It holds no e-mail address.

    `username_skeleton`: equal for usernames that look alike; null for an account that had a look-alike already when
    skeletons were introduced."""

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


PUBLIC_FIELDS = ("id", "username", "display_name", "bio", "avatar_id", "role", "created_at")
"""What everybody may see of a person."""


def encode_public_profile(user: User) -> dict[str, Any]:
    """What travels of a person between processes: what everybody may see. JSON-ready."""
    return user.model_dump(mode="json", include=set(PUBLIC_FIELDS))


def decode_public_profile(shown: dict[str, Any]) -> User:
    """A person as `packed` let them go: nothing else is known of them."""
    avatar = UUID(shown["avatar_id"]) if shown["avatar_id"] else None
    moment = datetime.fromisoformat(shown["created_at"])
    return User(**{**shown, "id": UUID(shown["id"]), "avatar_id": avatar, "created_at": moment})


class Session(SQLModel, table=True):
    """One sign-in of one device. It is also the family of its refresh tokens: one reused token ends it."""

    __tablename__ = "sessions"
    id: UUID = IdField(default_factory=uuid7, primary_key=True)
    user_id: UUID = IdField(foreign_key="users.id", ondelete="CASCADE", index=True)
    device_name: str | None = Field(default=None, max_length=100)
    ip_address: str | None = Field(default=None, max_length=45)
    created_at: datetime = TimeField()
    last_seen_at: datetime = TimeField()
    expires_at: datetime = TimeField(index=True)
    revoked_at: datetime | None = TimeField(default=None, nullable=True, index=True)


class RefreshToken(SQLModel, table=True):
    """A link of a session's chain. Only a hash of its secret is kept.

    `presented_at`: when it was first used. A token whose successor has been presented is spent for good.
    `replaced_at`: when another successor took its place, because its predecessor was presented again much later.
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
