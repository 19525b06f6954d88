"""The format of backups: a tar archive that is written and read as a stream, with the SHA-256 of each member.

| member | content |
|---|---|
| `manifest.json` | release, revision and kind of the database, epoch, id of the installation, rows of each table |
| `database.000001`, … | the parts of an SQLite file, or of `pg_dump --format=custom` |
| `secret.key`, `vapid.key` | keys, unless they are left out or are set by settings |
| `uploads/NAME` | the bytes of each file, under their name in the storage |
| `SHA256SUMS` | the digests of all other members, as `sha256sum` prints them; the last member |
"""

import hashlib
import json
import re
import tarfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
DATABASE_PART, UPLOADS = "database.", "uploads/"
KEYS = ("secret.key", "vapid.key")
FORMAT = 1

READ_BYTES = 1024 * 1024
MAX_TEXT_BYTES = 256 * 1024 * 1024
"""The largest manifest or list of digests that is read. A million files have a list of 140 MB."""

_NAME = re.compile(r"manifest\.json|database\.\d{6}|secret\.key|vapid\.key|uploads/[0-9A-Za-z-]{1,200}")


class BrokenArchive(Exception):
    """The file is no backup, is cut off or has been changed. The message says which."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `database`: `sqlite` or `postgresql`. `schema`: that of PostgreSQL's tables."""

    release: str
    revision: str
    database: str
    epoch: str
    installation_id: str | None
    rows: dict[str, int]
    created_at: str
    schema: str | None = None
    format: int = FORMAT


class ArchiveWriter:
    """Writes an archive to a file or a pipe. `digest` is the SHA-256 of all bytes written so far."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._sums: list[str] = []
        self.digest = hashlib.sha256()
        self.size = 0

    def add_manifest(self, manifest: Manifest) -> None:
        self.add(MANIFEST, json.dumps(asdict(manifest), indent=2).encode() + b"\n")

    def add(self, name: str, content: bytes) -> None:
        self._begin(name, len(content))
        self._write(content)
        self._end(name, len(content), hashlib.sha256(content).hexdigest())

    async def add_stream(self, name: str, size: int, chunks: AsyncIterator[bytes]) -> str:
        """Add a member of this size. Returns its SHA-256. Raises OSError if there are more or fewer bytes."""
        self._begin(name, size)
        digest, left = hashlib.sha256(), size
        async for chunk in chunks:
            digest.update(chunk)
            left -= len(chunk)
            self._write(chunk)
        if left:
            raise OSError(f"{name} has another size than a moment ago")
        self._end(name, size, digest.hexdigest())
        return digest.hexdigest()

    def close(self) -> None:
        """Write the digests and the end of the archive."""
        self.add(SUMS, "".join(self._sums).encode())
        end = 2 * tarfile.BLOCKSIZE
        self._write(bytes(end + -(self.size + end) % tarfile.RECORDSIZE))
        self._out.flush()

    def _begin(self, name: str, size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, int(datetime.now(UTC).timestamp())
        self._write(info.tobuf(tarfile.PAX_FORMAT))

    def _end(self, name: str, size: int, sha256: str) -> None:
        self._write(bytes(-size % tarfile.BLOCKSIZE))
        self._sums.append(f"{sha256}  {name}\n")

    def _write(self, content: bytes) -> None:
        self._out.write(content)
        self.digest.update(content)
        self.size += len(content)


def members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The names and contents of the members, in order. Raises BrokenArchive and TarError."""
    with tarfile.open(path, "r|") as archive:
        for info in archive:
            content = archive.extractfile(info)
            if content is None or not (info.name == SUMS or _NAME.fullmatch(info.name)):
                raise BrokenArchive(f"it has a member {info.name!r}, which no backup has")
            yield info.name, content


def verify(path: Path) -> Manifest:
    """Check the digests of all members. Raises BrokenArchive, and OSError."""
    try:
        return _verify(path)
    except tarfile.TarError as error:
        raise BrokenArchive(f"it is no complete tar archive ({error})") from None


def _verify(path: Path) -> Manifest:
    found: dict[str, str] = {}
    manifest, sums = b"", None
    for name, content in members(path):
        if sums is not None or name in found:
            raise BrokenArchive(f"it has {name} where no backup has it")
        if name == SUMS:
            sums = content.read(MAX_TEXT_BYTES).decode(errors="replace")
        elif name == MANIFEST:
            manifest = content.read(MAX_TEXT_BYTES)
            found[name] = hashlib.sha256(manifest).hexdigest()
        else:
            found[name] = _digest(content)
    if sums is None:
        raise BrokenArchive(f"it is cut off: {SUMS} is missing")
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in sums.splitlines())}
    if wanted != found:
        wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise BrokenArchive(f"{len(wrong)} members have been changed or are missing, the first is {wrong[0]}")
    return _parse(manifest)


def _digest(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := content.read(READ_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _parse(text: bytes) -> Manifest:
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise BrokenArchive(f"its format {found['format']!r} is that of another release")
        return Manifest(**found)
    except (ValueError, TypeError, KeyError) as error:
        raise BrokenArchive(f"its manifest cannot be read ({error!r})") from None
