"""Reads of files."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.columns import table
from roomcast.core.direct_queries import DirectQuery, count
from roomcast.core.keyed_reads import KeyedRead, group_pairs, is_key, key_parameters
from roomcast.core.records import record_columns
from roomcast.uploads.models import File, FileRecord, blob_name, file_id

_FILES = table(File)
_LOCK_FILES = (
    sa.select(_FILES)
    .where(_FILES.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(_FILES.c.id)
    .with_for_update()
)


async def files_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, File]:
    rows = await session.exec(select(File).where(col(File.id).in_(ids)))
    return {file.id: file for file in rows}


async def has_files(session: AsyncSession) -> bool:
    return (await session.exec(select(File.id).limit(1))).first() is not None


async def known_blobs(session: AsyncSession, names: Sequence[str]) -> set[str]:
    """The stored bytes that belong to files of the database, among those with these names."""
    files = await files_by_id(session, {id_ for name in names if (id_ := file_id(name)) is not None})
    return {blob_name(file.id, file.sha256) for file in files.values() if file.sha256 is not None}


def lock_files_query(ids: Collection[UUID]) -> DirectQuery[File]:
    """Selects and locks these files until the commit, in id order, so that two transactions never deadlock."""
    return DirectQuery(_LOCK_FILES, {"ids": list(ids)}, FileRecord)


async def lock_file(session: AsyncSession, file_id: UUID | None) -> File | None:
    """Load and lock the file until the commit."""
    wanted = select(File).where(File.id == file_id).with_for_update()
    return (await session.exec(wanted.execution_options(populate_existing=True))).first()


_ATTACHMENTS = (
    sa.select(*record_columns(FileRecord, File)).where(is_key([col(File.message_id)])).order_by(col(File.position))
)


def _by_message(files: Sequence[File]) -> dict[UUID, list[File]]:
    return group_pairs([(file.message_id, file) for file in files if file.message_id is not None])


files_by_message: KeyedRead[UUID, list[File]] = KeyedRead(
    lambda message_ids: DirectQuery(_ATTACHMENTS, key_parameters(message_ids), FileRecord), _by_message
)
"""The attachments of each message, in order."""


async def unused_count(session: AsyncSession, actor: Actor) -> int:
    """The number of files of the actor that nothing uses."""
    mine = sa.select(func.count()).select_from(File).where(col(File.owner_id) == actor.user_id, is_unreferenced())
    return await count(session, mine)


async def stored_bytes(session: AsyncSession, actor: Actor) -> int:
    """The size of all files of the actor, including uploads whose bytes have not been received."""
    sizes = sa.func.coalesce(sa.func.sum(col(File.byte_size)), 0)
    return int((await session.exec(select(sizes).where(File.owner_id == actor.user_id))).one())


async def abandoned_files(session: AsyncSession, limit: int) -> list[File]:
    """Files that nothing can use any more. Their bytes may still be stored."""
    return list(
        await session.exec(select(File).where(is_unreferenced(), col(File.claimed_at).is_not(None)).limit(limit))
    )


def is_unreferenced() -> sa.ColumnElement[bool]:
    """No message or avatar uses the file. The condition matches the index `ix_files_loose`."""
    return sa.and_(col(File.message_id).is_(None), sa.not_(col(File.is_avatar)))


def is_expired(before: datetime) -> sa.ColumnElement[bool]:
    """Created before that moment and never used."""
    return sa.and_(is_unreferenced(), col(File.claimed_at).is_(None), col(File.created_at) < before)
