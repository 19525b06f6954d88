"""The table of uploaded files. The row exists before the bytes and is deleted after them, so no bytes are forgotten.

The bytes are in a `Storage`, never in the database.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from roomcast.core.columns import FlagField, IdField, TimeField
from roomcast.core.ids import uuid7
from roomcast.core.records import record_type

UNREFERENCED, UNREFERENCED_ON_SQLITE = "message_id IS NULL AND NOT is_avatar", "message_id IS NULL AND is_avatar = 0"
"""The condition of the index for files that nothing uses. It has to match `queries.is_unreferenced`."""


class FileRow(Protocol):
    """What decisions read of a file, and cannot write. A model has it, and so has a row of a direct query."""

    @property
    def id(self) -> UUID: ...

    @property
    def owner_id(self) -> UUID: ...

    @property
    def sha256(self) -> str | None: ...

    @property
    def claimed_at(self) -> datetime | None: ...


class File(SQLModel, table=True):
    """`declared_type` is what the sender called it, `content_type` what its bytes are. `sha256`: null until the bytes
    have come. `byte_size` and `sha256` are those of what is stored, which of pictures is less than what was sent;
    `announced_size` is what was sent (null: the same).

    `claimed_at`: when it got its one use, or was given up. Claimed and held by nothing, it waits for its removal.
    """

    __tablename__ = "files"
    __table_args__ = (
        sa.Index("ix_files_message", "message_id", "position"),
        sa.Index(
            "ix_files_loose",
            "owner_id",
            "created_at",
            postgresql_where=sa.text(UNREFERENCED),
            sqlite_where=sa.text(UNREFERENCED_ON_SQLITE),
        ),
        sa.Index("ix_files_owner", "owner_id", "byte_size"),
    )
    id: UUID = IdField(default_factory=uuid7, primary_key=True)
    owner_id: UUID = IdField(foreign_key="users.id", ondelete="CASCADE")
    filename: str = Field(max_length=255)
    declared_type: str = Field(max_length=127)
    byte_size: int = Field(sa_type=sa.BigInteger)
    announced_size: int | None = Field(default=None, sa_type=sa.BigInteger)
    created_at: datetime = TimeField()
    sha256: str | None = Field(default=None, max_length=64)
    content_type: str | None = Field(default=None, max_length=127)
    width: int | None = Field(default=None)
    height: int | None = Field(default=None)
    has_thumbnail: bool = FlagField()
    claimed_at: datetime | None = TimeField(default=None, nullable=True)
    message_id: UUID | None = IdField(default=None, nullable=True, foreign_key="messages.id", ondelete="SET NULL")
    position: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    is_avatar: bool = FlagField()

    @property
    def upload_size(self) -> int:
        """The size that the client announced."""
        return self.byte_size if self.announced_size is None else self.announced_size

    @property
    def is_referenced(self) -> bool:
        return self.message_id is not None or self.is_avatar


FileRecord = record_type(File)


def blob_name(file_id: UUID, sha256: str) -> str:
    """The name of the bytes in the storage. It has the digest, so two different uploads for one file do not collide."""
    return f"{file_id.hex}-{sha256[:32]}"


def thumbnail_name(name: str) -> str:
    """The name of the thumbnail of a stored picture."""
    return f"{name}-thumbnail"


def file_id(name: str) -> UUID | None:
    """The id of the file whose bytes have this name; None for foreign names, which are never deleted."""
    try:
        return UUID(hex=name.partition("-")[0])
    except ValueError:
        return None
