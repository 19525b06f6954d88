"""Receives uploads: counts, hashes and checks the bytes in a temporary file, then puts them into the storage."""

import asyncio
import errno
import hashlib
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from roomcast.core.errors import FileTooLarge, StorageFull, ValidationFailed
from roomcast.core.refusals import Refusals
from roomcast.uploads import policy
from roomcast.uploads.actions import StoredContent
from roomcast.uploads.content_types import HEAD_BYTES, PICTURES, resolve_type
from roomcast.uploads.limits import Slots, TransferLimits
from roomcast.uploads.models import File, blob_name, thumbnail_name
from roomcast.uploads.pictures import Job, PicturePool, Prepared
from roomcast.uploads.storage import FILE_MODE, Storage, make_folder
from roomcast.uploads.stripping import STRIPPED

BLOCK_BYTES = 1024 * 1024
"""Received bytes are written in blocks of this size."""

FULL_RETRY_MS = 60_000

_DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk is full, or a quota or the limit of file sizes is reached."""


@dataclass
class PartialUpload:
    """An upload that is being received."""

    path: Path
    size: int = 0
    head: bytes = b""
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def thumbnail(self) -> Path:
        return self.path.with_suffix(".small")

    @property
    def stripped(self) -> Path:
        return self.path.with_suffix(".stripped")

    def add(self, handle: BinaryIO, block: bytes) -> None:
        self.digest.update(block)
        handle.write(block)

    def remove(self) -> None:
        for path in (self.path, self.thumbnail, self.stripped):
            path.unlink(missing_ok=True)


class UploadReceiver:
    """Stores the bodies of requests in `storage`. `incoming` is a folder for temporary files.

    A local storage is on the same disk as `incoming`, so files are moved, not copied. `keeps_originals`: pictures are
    stored with their metadata.
    """

    def __init__(
        self,
        storage: Storage,
        incoming: Path,
        limits: TransferLimits,
        refusals: Refusals,
        *,
        keeps_originals: bool = False,
    ) -> None:
        self.pictures = PicturePool()
        self._storage, self._incoming = storage, incoming
        self._limits, self._refusals, self._keeps_originals = limits, refusals, keeps_originals
        self.slots = Slots("uploads", limits, refusals)
        self._reserved_bytes = 0
        make_folder(incoming)

    async def close(self) -> None:
        await self.pictures.close()

    async def receive(self, file: File, chunks: AsyncIterator[bytes], address: str | None) -> StoredContent:
        """Receive and store the bytes of a file. The caller then has to update the row, or to call `discard`.

        Raises ValidationFailed for missing bytes, FileTooLarge, UnsupportedMediaType, RateLimited, StorageFull.
        """
        upload = PartialUpload(self._incoming / f"{file.id.hex}-{secrets.token_hex(8)}")
        with self.slots.acquire(address, file.owner_id), self._reserve_bytes(file.upload_size):
            try:
                # Raises StorageFull if the running uploads would not leave enough disk space.
                free = (await asyncio.to_thread(shutil.disk_usage, self._incoming)).free
                if free - self._reserved_bytes < self._limits.min_free_bytes:
                    raise self._storage_full(file)
                await self._write(upload, file, chunks)
                return await self._store(upload, file)
            except OSError as error:
                if error.errno in _DISK_FULL_ERRNOS:
                    raise self._storage_full(file) from error
                raise
            finally:
                await asyncio.to_thread(upload.remove)

    async def discard(self, file: File, received: StoredContent) -> None:
        """Delete stored bytes that the row does not refer to."""
        name = blob_name(file.id, received.sha256)
        await self._storage.remove(thumbnail_name(name))
        await self._storage.remove(name)

    def _storage_full(self, file: File) -> StorageFull:
        self._refusals.count("min_free_disk_bytes", file.owner_id)
        return StorageFull("The storage of this server is full.", retry_after_ms=FULL_RETRY_MS)

    @contextmanager
    def _reserve_bytes(self, size: int) -> Iterator[None]:
        self._reserved_bytes += size
        try:
            yield
        finally:
            self._reserved_bytes -= size

    async def _write(self, upload: PartialUpload, file: File, chunks: AsyncIterator[bytes]) -> None:
        handle = await asyncio.to_thread(_create, upload.path)
        try:
            async for block in _blocks(chunks):
                upload.size += len(block)
                if upload.size > file.upload_size:
                    raise FileTooLarge(f"The upload has more than the announced {file.upload_size} bytes.")
                upload.head = upload.head or block[:HEAD_BYTES]
                await asyncio.to_thread(upload.add, handle, block)
        finally:
            await asyncio.to_thread(handle.close)
        if upload.size < file.upload_size:
            raise ValidationFailed(f"The upload has {upload.size} of the announced {file.upload_size} bytes.")

    async def _store(self, upload: PartialUpload, file: File) -> StoredContent:
        content_type = resolve_type(file.declared_type, upload.head)
        prepared = await self._prepare(upload, file, content_type)
        sha256 = prepared.sha256 or upload.digest.hexdigest()
        received = StoredContent(sha256, content_type, prepared.byte_size or upload.size, prepared.picture)
        name = blob_name(file.id, sha256)
        if prepared.picture is not None:
            await self._storage.put(thumbnail_name(name), upload.thumbnail)
        await self._storage.put(name, upload.path if prepared.sha256 is None else upload.stripped)
        return received

    async def _prepare(self, upload: PartialUpload, file: File, content_type: str) -> Prepared:
        should_strip = content_type in STRIPPED and not self._keeps_originals
        should_decode = content_type in PICTURES and find_spec("PIL") is not None  # an optional dependency
        if not should_strip and not should_decode:
            return Prepared(None, None, None)
        stripped, small = upload.stripped if should_strip else None, upload.thumbnail if should_decode else None
        job = Job(upload.path, content_type, upload.size, stripped, small)
        return await self.pictures.prepare(file.owner_id, job)

    async def delete_interrupted_uploads(self) -> None:
        """Delete temporary files of uploads that were interrupted, for example by a crash."""
        before = time.time() - policy.UNUSED_RETENTION.total_seconds()
        await asyncio.to_thread(_delete_older, self._incoming, before)


def _create(path: Path) -> BinaryIO:
    path.touch(FILE_MODE, exist_ok=False)
    return path.open("wb")


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    block = bytearray()
    async for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _delete_older(folder: Path, before: float) -> None:
    for path in folder.iterdir():
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
