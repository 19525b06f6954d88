"""Changes to files: asked for, filled, used once, given up. Whatever is given up, the sweep removes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
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
from roomcast.uploads import policy, queries
from roomcast.uploads.content_types import PICTURES
from roomcast.uploads.models import File
from roomcast.uploads.pictures import Picture

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
    """What is known of a file's bytes as they are stored. `picture`: None for what is none, or was not looked at."""

    sha256: str
    content_type: str
    byte_size: int
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """In bytes: of one file, and of all files of one person."""

    per_file: int
    per_user: int


async def create_upload(work: Work, actor: Actor, new: NewFile, limits: SizeLimits) -> File:
    """A file without bytes yet.

    Raises ValidationFailed, FileTooLarge, RateLimited for too many unused files, QuotaExceeded. Tickets that are made
    at the same moment do not count each other: the quota can be exceeded by a few files, once.
    """
    file = File(
        owner_id=actor.user_id,
        filename=policy.clean_filename(new.filename),
        declared_type=policy.check_type(new.content_type),
        byte_size=policy.check_size(new.byte_size, limits.per_file),
        created_at=now(),
    )
    if await queries.unused_count(work.session, actor) >= policy.MAX_UNUSED_FILES:
        raise RateLimited(f"at most {policy.MAX_UNUSED_FILES} files wait to be used; unused ones go after a day")
    if await queries.stored_bytes(work.session, actor) + new.byte_size > limits.per_user:
        raise QuotaExceeded(f"your files may have {limits.per_user} bytes in all", path=("input", "byteSize"))
    work.session.add(file)
    return file


async def mark_received(work: Work, file_id: UUID, received: StoredContent) -> File:
    """The file has its bytes. The same bytes again change nothing.

    Raises NotFound when it was given up meanwhile, Conflict when it has other bytes already.
    """
    file = await queries.lock_file(work.session, file_id)
    if file is None or (file.claimed_at is not None and not file.is_referenced):
        raise NotFound("no such upload")
    if file.sha256 is not None and file.sha256 != received.sha256:
        raise Conflict("this upload has other bytes already")
    if file.sha256 is None:
        file.announced_size, file.byte_size = file.byte_size, received.byte_size
    file.sha256, file.content_type = received.sha256, received.content_type
    if received.picture is not None:
        file.width, file.height = received.picture.width, received.picture.height
        file.has_thumbnail = True
    return file


def check_usable(file: File | None, actor: Actor, argument: str) -> File:
    """That this person may use the file now. Raises NotFound, AttachmentNotReady, Conflict."""
    path = ("input", argument)
    if file is None or file.owner_id != actor.user_id:
        raise NotFound("no such upload of yours", path=path)
    if file.claimed_at is not None:
        raise Conflict("a file is used once: upload it again", path=path)
    if file.sha256 is None:
        raise AttachmentNotReady("its bytes have not arrived yet", path=path)
    return file


async def attach_to_messages(work: Work, files: Mapping[UUID, tuple[UUID, int]]) -> None:
    """These files, which were found free under their lock, belong to those messages, each at its position."""
    since = now()
    rows = [
        {"file": file_id, "to_message": message_id, "at_position": position, "since": since}
        for file_id, (message_id, position) in files.items()
    ]
    await execute_direct(work.session, _ATTACH, rows)


async def detach_from_message(work: Work, message_id: UUID) -> None:
    """The message carries nothing any more: its files can be read no longer, and the next sweep removes them."""
    await work.session.exec(sa.update(File).where(col(File.message_id) == message_id).values(message_id=None))


async def set_avatar(work: Work, actor: Actor, file_id: UUID | None, before: UUID | None) -> UUID:
    """The file is the actor's avatar, in the place of the one before.

    Raises NotFound, AttachmentNotReady, Conflict, UnsupportedMediaType for what is no picture.
    """
    file = check_usable(await queries.lock_file(work.session, file_id), actor, "avatarUploadId")
    if file.content_type not in PICTURES:
        raise UnsupportedMediaType("an avatar is a PNG, JPEG, GIF or WebP", path=("input", "avatarUploadId"))
    await clear_avatar(work, before)
    file.is_avatar, file.claimed_at = True, now()
    return file.id


async def clear_avatar(work: Work, file_id: UUID | None) -> None:
    """The file is nobody's avatar."""
    if file_id is not None:
        await work.session.exec(sa.update(File).where(col(File.id) == file_id).values(is_avatar=False))


async def expire_unused_files(work: Work) -> None:
    """What was asked for a day ago and never used, never will be."""
    moment = now()
    old = queries.is_expired(moment - policy.UNUSED_RETENTION)
    await work.session.exec(sa.update(File).where(old).values(claimed_at=moment))


async def delete_files(work: Work, file_ids: Collection[UUID]) -> None:
    """Their bytes are gone, and now they are."""
    await work.session.exec(sa.delete(File).where(col(File.id).in_(file_ids)))
