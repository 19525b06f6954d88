"""WebP: a RIFF file (RFC 9649)."""

import struct
from typing import BinaryIO

from roomcast.uploads.stripping import exif
from roomcast.uploads.stripping.streams import Malformed, copy, read, skip

_PIXELS = frozenset({b"VP8 ", b"VP8L", b"ALPH"})
_KEPT = _PIXELS | {b"ICCP", b"ANIM"}
_HAS_EXIF, _HAS_XMP = 0x08, 0x04
_FRAME_HEAD_BYTES = 16


def strip(source: BinaryIO, target: BinaryIO) -> None:
    riff, size, webp = struct.unpack("<4sI4s", read(source, 12))
    if (riff, webp) != (b"RIFF", b"WEBP"):
        raise Malformed("the WebP is not a RIFF file")
    target.write(b"RIFF\0\0\0\0WEBP")
    orientation, end = 1, 8 + size
    flags_at: int | None = None
    while source.tell() + 8 <= end:  # what follows is not part of the picture
        kind, size = struct.unpack("<4sI", read(source, 8))
        if source.tell() + size > end:
            raise Malformed("a chunk extends beyond the file")
        if kind == b"VP8X" and flags_at is None and size == 10:
            flags_at = target.tell() + 8
            _write(target, kind, read(source, size))
        elif kind == b"ANMF":
            _frame(source, target, size)
        elif kind == b"EXIF" and orientation == 1:
            data = read(source, min(size, exif.MAX_BYTES))
            skip(source, size - len(data))
            orientation = exif.read_orientation(data)
        else:
            _keep(source, target, kind, size, _KEPT)
        skip(source, size % 2)
    _finish(target, flags_at, exif.encode_orientation(orientation))


def _finish(target: BinaryIO, flags_at: int | None, tiff: bytes) -> None:
    """Write the metadata that is kept at the end. Only a file with a VP8X chunk, whose flags announce it, has any."""
    if flags_at is not None:
        if tiff:
            _write(target, b"EXIF", tiff)
        target.seek(flags_at)
        flags = target.read(1)[0] & ~(_HAS_EXIF | _HAS_XMP)
        target.seek(flags_at)
        target.write(bytes((flags | (_HAS_EXIF if tiff else 0),)))
    size = target.seek(0, 2) - 8
    target.seek(4)
    target.write(struct.pack("<I", size))


def _keep(source: BinaryIO, target: BinaryIO, kind: bytes, size: int, kept: frozenset[bytes]) -> None:
    if kind not in kept:
        skip(source, size)
        return
    target.write(struct.pack("<4sI", kind, size))
    copy(source, target, size)
    target.write(bytes(size % 2))


def _write(target: BinaryIO, kind: bytes, data: bytes) -> None:
    target.write(struct.pack("<4sI", kind, len(data)) + data + bytes(len(data) % 2))


def _frame(source: BinaryIO, target: BinaryIO, size: int) -> None:
    """Strip a frame of an animation, which is a list of chunks, possibly with unknown ones."""
    if size < _FRAME_HEAD_BYTES:
        raise Malformed("a frame has no header")
    size_at, end = target.tell() + 4, source.tell() + size
    target.write(b"ANMF\0\0\0\0" + read(source, _FRAME_HEAD_BYTES))
    while source.tell() + 8 <= end:
        kind, part = struct.unpack("<4sI", read(source, 8))
        if source.tell() + part > end:
            raise Malformed("a chunk extends beyond its frame")
        _keep(source, target, kind, part, _PIXELS)
        skip(source, part % 2)
    source.seek(end)
    written = target.tell() - size_at - 4
    target.seek(size_at)
    target.write(struct.pack("<I", written))
    target.seek(0, 2)
