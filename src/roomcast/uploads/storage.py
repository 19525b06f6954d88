"""The interface of storages for the bytes of files, and a storage in a local folder."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from roomcast.core.ids import uuid7

CHUNK_BYTES = 64 * 1024
"""The chunk size of downloads. Each slow reader holds one or two chunks in memory."""

FOLDER_MODE, FILE_MODE = 0o700, 0o600
"""Only the account of the server can read the files, whatever its umask is."""

PAGE_SIZE = 500


class Blob(NamedTuple):
    """A stored object: its name and when it was stored."""

    name: str
    modified_at: datetime


class Storage(Protocol):
    """Stores immutable objects. Names consist of letters, digits and dashes."""

    async def put(self, name: str, path: Path) -> None:
        """Store the file at `path` under this name: completely or not at all, also after a crash. May move the file."""

    async def create(self, name: str, content: bytes) -> None:
        """Store these few bytes under this name, completely or not at all. Does nothing if the name exists."""

    async def size(self, name: str) -> int:
        """The size in bytes. Raises FileNotFoundError."""

    async def open(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `end`. Raises FileNotFoundError."""

    async def remove(self, name: str) -> None:
        """Delete the object. Does nothing if it does not exist."""

    def list_blobs(self) -> AsyncIterator[list[Blob]]:
        """All objects, in pages."""


async def check_storage(storage: Storage, incoming: Path) -> None:
    """Store a test object and delete it again. Raises the errors of the storage."""
    name = f"{uuid7().hex}-test"
    path = incoming / name
    make_folder(incoming)
    await asyncio.to_thread(path.write_bytes, b"test")
    try:
        await storage.put(name, path)
        await storage.remove(name)
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


class Folder:
    """A local folder with 256 subfolders, which are named by the first two characters of the digests."""

    def __init__(self, root: Path) -> None:
        self._root = root
        make_folder(root)

    async def put(self, name: str, path: Path) -> None:
        await asyncio.to_thread(_move, path, self._path(name))

    async def create(self, name: str, content: bytes) -> None:
        await asyncio.to_thread(_create, self._path(name), content)

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


def make_folder(path: Path) -> Path:
    """Create a folder that only this account can read. A folder of another account is used as it is."""
    path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    with suppress(PermissionError):
        path.chmod(FOLDER_MODE)
    return path


def _move(path: Path, target: Path) -> None:
    """Write the bytes to the disk before the rename, so that a crash never leaves half a file under the name."""
    make_folder(target.parent)
    path.chmod(FILE_MODE)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(target)
    flush_folder(target.parent)


def flush_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, so that a rename survives a power cut."""
    with suppress(PermissionError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _create(target: Path, content: bytes) -> None:
    """A hard link fails where the name exists, unlike a rename."""
    handle, name = tempfile.mkstemp(dir=make_folder(target.parent))
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        with suppress(FileExistsError):
            target.hardlink_to(temporary)
    finally:
        temporary.unlink()


def _list_folder(part: Path) -> list[Blob]:
    found = []
    for path in part.iterdir():
        with suppress(FileNotFoundError):  # deleted meanwhile
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
