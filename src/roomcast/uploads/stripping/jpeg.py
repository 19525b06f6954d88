"""JPEG: a list of segments (ITU T.81, annex B). Application segments can hold metadata."""

import re
from typing import BinaryIO

from roomcast.uploads.stripping import exif
from roomcast.uploads.stripping.streams import BUFFER_BYTES, Malformed, read

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE

EXIF = b"Exif\0\0"

_KEPT = frozenset({*range(0xC0, 0xD0), SOS, 0xDB, 0xDC, 0xDD}) - {0xC8}
"""Frame and scan headers, and tables that the decoder needs."""

_REMOVED = frozenset({*range(APP0, 0xF0), *range(0xF0, 0xFE), COM})
"""Application segments, extensions and comments: removed, apart from what `_application` keeps."""

_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The next marker inside of compressed data, where 0xFF 0x00 is a byte and 0xD0 to 0xD7 are restarts."""


def strip(source: BinaryIO, target: BinaryIO) -> None:
    """Copy the first picture only: later ones (previews, gain maps, videos) have metadata of their own."""
    if read(source, 2) != bytes((0xFF, SOI)):
        raise Malformed("the JPEG does not begin with a start-of-image marker")
    target.write(bytes((0xFF, SOI)))
    has_exif = False
    while (marker := _next_marker(source)) is not None and marker != EOI:
        payload = _payload(source, marker)
        kept = payload if marker in _KEPT else _application(marker, payload)
        if payload.startswith(EXIF) and marker == APP1:
            kept, has_exif = None if has_exif else kept, True
        if kept is not None:
            target.write(bytes((0xFF, marker)) + (len(kept) + 2).to_bytes(2) + kept)
        if marker == SOS:
            _copy_scan(source, target)
    if marker == EOI:  # a truncated file stays truncated: the decoder decides whether it is usable
        target.write(bytes((0xFF, EOI)))


def _next_marker(source: BinaryIO) -> int | None:
    """The next marker, None at the end of the file. 0xFF may be repeated before a marker."""
    first = source.read(1)
    if not first:
        return None
    if first != b"\xff":
        raise Malformed("a JPEG marker is missing")
    while (code := read(source, 1)) == b"\xff":
        pass
    return code[0]


def _payload(source: BinaryIO, marker: int) -> bytes:
    if marker not in _KEPT and marker not in _REMOVED:
        raise Malformed(f"unexpected JPEG marker {marker:#x}")
    size = int.from_bytes(read(source, 2))
    if size < 2:
        raise Malformed("the length of a segment is less than 2")
    return read(source, size - 2)


def _application(marker: int, payload: bytes) -> bytes | None:
    """The part of an application segment to keep, or None."""
    if marker == APP0 and payload.startswith(b"JFIF\0") and len(payload) >= 14:
        return payload[:12] + bytes(2)  # without the embedded thumbnail
    if marker == APP1 and payload.startswith(EXIF):
        tiff = exif.encode_orientation(exif.read_orientation(payload))
        return EXIF + tiff if tiff else None
    if marker == APP2 and payload.startswith(b"ICC_PROFILE\0"):
        return payload
    if marker == APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:  # the colour transform
        return payload[:12]
    return None


def _copy_scan(source: BinaryIO, target: BinaryIO) -> None:
    while data := source.read(BUFFER_BYTES):
        found = _END_OF_SCAN.search(data)
        if found is not None:
            target.write(data[: found.start()])
            source.seek(found.start() - len(data), 1)
            return
        if data.endswith(b"\xff") and len(data) > 1:  # whether this is a marker depends on the next byte
            data = data[:-1]
            source.seek(-1, 1)
        target.write(data)
