"""Changes of files: create an upload, store its bytes, use the file once, expire it. `cleanup` deletes unused files."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.db import Work
from roomcast.core.direct_queries import execute_direct
from roomcast.core.errors import (
    AttachmentNotReady,
    Conflict,
    NotFound,
    QuotaExceeded,
    RateLimited,
    UnsupportedMediaType,
)
from roomcast.core.refusals import Refusals
from roomcast.uploads import policy, queries
from roomcast.uploads.content_types import PICTURES
from roomcast.uploads.models import File, FileRow
from roomcast.uploads.pictures import Picture

FileType = TypeVar("FileType", bound=FileRow)

_FILES = table(File)
_ATTACH = (
    sa.update(_FILES)
    .where(_FILES.c.id == sa.bindparam("file"))
    .values(
        message_id=sa.bindparam("to_message"), position=sa.bindparam("at_position"), claimed_at=sa.bindparam("since")
    )
)


@dataclass(frozen=True, slots=True)
class NewFile:
    filename: str
    content_type: str
    byte_size: int


@dataclass(frozen=True, slots=True)
class StoredContent:
    """The stored bytes of a file. `picture`: None for other files, and for pictures that were not decoded."""

    sha256: str
    content_type: str
    byte_size: int
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Bytes of one file, bytes of all files of one user, and files that a user has uploaded and not used; None for no
    limit. The names are those of the settings."""

    max_upload_bytes: int
    upload_quota_bytes: int
    unused_files_per_user: int | None = 50


async def create_upload(work: Work, actor: Actor, new: NewFile, limits: FileLimits, refusals: Refusals) -> File:
    """Create a file whose bytes have not been received yet.

    Raises ValidationFailed, FileTooLarge, RateLimited for too many unused files, QuotaExceeded. Uploads created at the
    same moment do not count each other, so a user can exceed the quota by a few files.
    """
    file = File(
        owner_id=actor.user_id,
        filename=policy.clean_filename(new.filename),
        declared_type=policy.check_type(new.content_type),
        byte_size=policy.check_size(new.byte_size, limits.max_upload_bytes),
        created_at=now(),
    )
    most = limits.unused_files_per_user
    if most is not None and await queries.unused_count(work.session, actor) >= most:
        refusals.count("unused_files_per_user", actor.user_id)
        raise RateLimited(f"At most {most} unused files; they are deleted after a day.")
    quota = limits.upload_quota_bytes
    if await queries.stored_bytes(work.session, actor) + new.byte_size > quota:
        refusals.count("upload_quota_bytes", actor.user_id)
        raise QuotaExceeded(f"All your files together may have at most {quota} bytes.", path=("input", "byteSize"))
    work.session.add(file)
    return file


async def mark_received(work: Work, file_id: UUID, received: StoredContent) -> File:
    """Note that the bytes are stored. Calling it again with the same bytes has no effect.

    Raises NotFound if the file has expired meanwhile, Conflict if it has other bytes already.
    """
    file = await queries.lock_file(work.session, file_id)
    if file is None or (file.claimed_at is not None and not file.is_referenced):
        raise NotFound("There is no such upload.")
    if file.sha256 is not None and file.sha256 != received.sha256:
        raise Conflict("This upload has other bytes already.")
    if file.sha256 is None:
        file.announced_size, file.byte_size = file.byte_size, received.byte_size
    file.sha256, file.content_type = received.sha256, received.content_type
    if received.picture is not None:
        file.width, file.height = received.picture.width, received.picture.height
        file.has_thumbnail = True
    return file


def check_usable(file: FileType | None, actor: Actor, argument: str) -> FileType:
    """Check that the actor may use the file now. Raises NotFound, AttachmentNotReady, Conflict."""
    path = ("input", argument)
    if file is None or file.owner_id != actor.user_id:
        raise NotFound("You have no such upload.", path=path)
    if file.claimed_at is not None:
        raise Conflict("This file is in use already: upload it again.", path=path)
    if file.sha256 is None:
        raise AttachmentNotReady("The bytes of this file have not been received yet.", path=path)
    return file


async def attach_to_messages(work: Work, files: Mapping[UUID, tuple[UUID, int]]) -> None:
    """Attach files to messages: file id → message id and position. The caller has locked and checked the files."""
    since = now()
    rows = [
        {"file": file_id, "to_message": message_id, "at_position": position, "since": since}
        for file_id, (message_id, position) in files.items()
    ]
    await execute_direct(work.session, _ATTACH, rows)


async def detach_from_message(work: Work, message_id: UUID) -> None:
    """Detach all files of the message. They can no longer be read, and the next cleanup deletes them."""
    await work.session.exec(sa.update(File).where(col(File.message_id) == message_id).values(message_id=None))


async def set_avatar(work: Work, actor: Actor, file_id: UUID | None, before: UUID | None) -> UUID:
    """Make the file the actor's avatar instead of `before`.

    Raises NotFound, AttachmentNotReady, Conflict, UnsupportedMediaType for a file that is not a picture.
    """
    file = check_usable(await queries.lock_file(work.session, file_id), actor, "avatarUploadId")
    if file.content_type not in PICTURES:
        raise UnsupportedMediaType("An avatar has to be a PNG, JPEG, GIF or WebP.", path=("input", "avatarUploadId"))
    await clear_avatar(work, before)
    file.is_avatar, file.claimed_at = True, now()
    return file.id


async def clear_avatar(work: Work, file_id: UUID | None) -> None:
    """The file is no longer an avatar; the next cleanup deletes it."""
    if file_id is not None:
        await work.session.exec(sa.update(File).where(col(File.id) == file_id).values(is_avatar=False))


async def expire_unused_files(work: Work) -> None:
    """Claim files that were created a day ago and never used, so that nobody can use them and cleanup deletes them."""
    moment = now()
    old = queries.is_expired(moment - policy.UNUSED_RETENTION)
    await work.session.exec(sa.update(File).where(old).values(claimed_at=moment))


async def delete_files(work: Work, file_ids: Collection[UUID]) -> None:
    """Delete the rows of files whose bytes have been deleted."""
    await work.session.exec(sa.delete(File).where(col(File.id).in_(file_ids)))
