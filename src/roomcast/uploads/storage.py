"""Where the bytes of files lie: a folder of this machine, or whatever else keeps `Storage`'s promises."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from roomcast.core.ids import uuid7

CHUNK_BYTES = 64 * 1024
"""Of a download: what each slow reader holds in memory, once or twice."""

FOLDER_MODE, FILE_MODE = 0o700, 0o600
"""Files of people are for this account alone, whatever its umask."""

PAGE_SIZE = 500


class Blob(NamedTuple):
    """What lies in a storage under a name, and since when."""

    name: str
    modified_at: datetime


class Storage(Protocol):
    """Names are ours, made of letters, digits and dashes. What was kept is whole, and never changes."""

    async def put(self, name: str, path: Path) -> None:
        """What is in the file at `path` is there under this name, all or nothing, also after a crash."""

    async def size(self, name: str) -> int:
        """In bytes. Raises FileNotFoundError."""

    async def open(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `end`. Raises FileNotFoundError."""

    async def remove(self, name: str) -> None:
        """Nothing is there under this name."""

    def list_blobs(self) -> AsyncIterator[list[Blob]]:
        """Everything that is there, page by page."""


async def check_storage(storage: Storage, incoming: Path) -> None:
    """Keep something there and remove it again. Raises whatever the storage does."""
    name = f"{uuid7().hex}-proof"
    path = incoming / name
    make_folder(incoming)
    await asyncio.to_thread(path.write_bytes, b"proof")
    try:
        await storage.put(name, path)
        await storage.remove(name)
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


class Folder:
    """A folder, and below it 256 that are named by the first two letters of a name's digest."""

    def __init__(self, root: Path) -> None:
        self._root = root
        make_folder(root)

    async def put(self, name: str, path: Path) -> None:
        await asyncio.to_thread(_move, path, self._path(name))

    async def size(self, name: str) -> int:
        return (await asyncio.to_thread(self._path(name).stat)).st_size

    async def open(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        handle = await asyncio.to_thread(self._path(name).open, "rb")
        return _read(handle, start, end)

    async def remove(self, name: str) -> None:
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    async def list_blobs(self) -> AsyncIterator[list[Blob]]:
        for part in await asyncio.to_thread(lambda: sorted(self._root.glob("??"))):
            found = await asyncio.to_thread(_list_folder, part)
            for start in range(0, len(found), PAGE_SIZE):
                yield found[start : start + PAGE_SIZE]

    def _path(self, name: str) -> Path:
        return self._root / name.partition("-")[2][:2] / name


def make_folder(path: Path) -> None:
    """The folder, for this account alone; one that another account made is used as it is."""
    path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    with suppress(PermissionError):
        path.chmod(FOLDER_MODE)


def _move(path: Path, target: Path) -> None:
    """The bytes reach the disk before the name does, so a name never stands for half a file."""
    make_folder(target.parent)
    path.chmod(FILE_MODE)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _list_folder(part: Path) -> list[Blob]:
    found = []
    for path in part.iterdir():
        with suppress(FileNotFoundError):  # removed while we look
            found.append(Blob(path.name, datetime.fromtimestamp(path.stat().st_mtime, UTC)))
    return found


async def _read(handle: BinaryIO, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        handle.seek(start)
        left = end - start
        while left > 0 and (chunk := await asyncio.to_thread(handle.read, min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
    finally:
        handle.close()
