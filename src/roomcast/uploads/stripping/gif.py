"""GIF: a list of blocks (GIF89a). Comments hold text, and application extensions hold XMP; both are removed."""

from typing import BinaryIO

from roomcast.uploads.stripping.streams import Malformed, copy, read

_IMAGE, _EXTENSION, _TRAILER = b"\x2c", b"\x21", b"\x3b"
_CONTROL, _APPLICATION = b"\xf9", b"\xff"
_LOOPS = frozenset({b"NETSCAPE2.0", b"ANIMEXTS1.0"})
"""Applications whose extension says how often an animation is repeated."""


def strip(source: BinaryIO, target: BinaryIO) -> None:
    head = read(source, 13)
    if head[:6] not in (b"GIF87a", b"GIF89a"):
        raise Malformed("a GIF begins with its signature")
    target.write(head)
    copy(source, target, _table_bytes(head[10]))
    while (kind := read(source, 1)) != _TRAILER:
        if kind == _IMAGE:
            descriptor = read(source, 9)
            target.write(_IMAGE + descriptor)
            copy(source, target, _table_bytes(descriptor[8]) + 1)  # and the size of the first code
            _blocks(source, target)
        elif kind == _EXTENSION:
            label = read(source, 1)
            first = read(source, read(source, 1)[0])
            data = _first_block(source) if first else b""
            if label == _CONTROL and len(first) == 4:
                target.write(_EXTENSION + label + b"\x04" + first + b"\0")
            elif label == _APPLICATION and first in _LOOPS and len(data) == 3:
                target.write(_EXTENSION + label + b"\x0b" + first + b"\x03" + data + b"\0")
        else:
            raise Malformed("a GIF has no such block")
    target.write(_TRAILER)


def _table_bytes(flags: int) -> int:
    """Of a table of colours."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _first_block(source: BinaryIO) -> bytes:
    """The first of the blocks that follow; the others are skipped."""
    first = b""
    while size := read(source, 1)[0]:
        data = read(source, size)
        first = first or data
    return first


def _blocks(source: BinaryIO, target: BinaryIO) -> None:
    while size := read(source, 1):
        target.write(size)
        if size == b"\0":
            return
        copy(source, target, size[0])
