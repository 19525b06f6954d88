"""Taking bytes in: counted, hashed and looked at in a file of their own before they are anybody's."""

import asyncio
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from roomcast.core.errors import FileTooLarge, RateLimited, ValidationFailed
from roomcast.uploads import policy
from roomcast.uploads.actions import Received
from roomcast.uploads.kinds import HEAD_BYTES, PICTURES, settle
from roomcast.uploads.models import File, blob, thumbnail
from roomcast.uploads.pictures import Picture, can_look, look
from roomcast.uploads.storage import Storage

AT_ONCE, OF_ONE_PERSON = 128, 8
"""Uploads that one process takes in at the same time: so many slow ones hinder nobody else's."""

BLOCK_BYTES = 1024 * 1024
"""What is gathered before it is written."""


@dataclass
class Arrival:
    """One upload under way: what has come so far."""

    path: Path
    small: Path
    size: int = 0
    head: bytes = b""
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


class Intake:
    """Fills `storage` from requests, by way of the folder `incoming`, which lies on the same disk as a local one."""

    def __init__(self, storage: Storage, incoming: Path) -> None:
        self._storage, self._incoming = storage, incoming
        self._under_way: Counter[UUID] = Counter()
        self._looking = asyncio.Semaphore(1)  # one picture at a time: each may need hundreds of megabytes

    async def take(self, file: File, chunks: AsyncIterator[bytes]) -> Received:
        """The bytes are in the storage; nothing refers to them yet.

        Raises ValidationFailed for too few, FileTooLarge for too many, UnsupportedMediaType, RateLimited.
        """
        if self._under_way.total() >= AT_ONCE or self._under_way[file.owner_id] >= OF_ONE_PERSON:
            raise RateLimited("too many uploads at once", retry_after_ms=1000)
        self._under_way[file.owner_id] += 1
        path = self._incoming / f"{file.id.hex}-{secrets.token_hex(8)}"
        arrival = Arrival(path, path.with_suffix(".small"))
        try:
            await self._write(arrival, file, chunks)
            return await self._keep(arrival, file)
        finally:
            self._under_way -= Counter({file.owner_id: 1})  # keeps no zeros
            for rest in (arrival.path, arrival.small):
                await asyncio.to_thread(rest.unlink, missing_ok=True)

    async def drop(self, file: File, received: Received) -> None:
        """The bytes became nobody's after all."""
        name = blob(file.id, received.sha256)
        await self._storage.remove(thumbnail(name))
        await self._storage.remove(name)

    async def _write(self, arrival: Arrival, file: File, chunks: AsyncIterator[bytes]) -> None:
        handle = await asyncio.to_thread(arrival.path.open, "xb")
        try:
            async for block in _blocks(chunks):
                arrival.size += len(block)
                if arrival.size > file.byte_size:
                    raise FileTooLarge(f"more than the {file.byte_size} bytes that were announced")
                arrival.head = arrival.head or block[:HEAD_BYTES]
                arrival.digest.update(block)
                await asyncio.to_thread(handle.write, block)
        finally:
            await asyncio.to_thread(handle.close)
        if arrival.size < file.byte_size:
            raise ValidationFailed(f"{arrival.size} of the {file.byte_size} bytes that were announced")

    async def _keep(self, arrival: Arrival, file: File) -> Received:
        content_type = settle(file.declared_type, arrival.head)
        picture = await self._look(arrival, content_type)
        received = Received(arrival.digest.hexdigest(), content_type, picture)
        name = blob(file.id, received.sha256)
        if picture is not None:
            await self._storage.keep(thumbnail(name), arrival.small)
        await self._storage.keep(name, arrival.path)
        return received

    async def _look(self, arrival: Arrival, content_type: str) -> Picture | None:
        if content_type not in PICTURES or not can_look():
            return None
        async with self._looking:
            return await asyncio.to_thread(look, arrival.path, content_type, arrival.small)

    async def sweep(self) -> None:
        """Remove what a process that was killed has left half received."""
        before = time.time() - policy.KEPT.total_seconds()
        await asyncio.to_thread(_clear, self._incoming, before)


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    block = bytearray()
    async for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _clear(folder: Path, before: float) -> None:
    for path in folder.iterdir():
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
