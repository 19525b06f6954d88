"""GIF: a list of blocks (GIF89a). Comments hold text, and application extensions hold XMP; both are removed."""

from typing import BinaryIO

from roomcast.uploads.stripping.streams import Malformed, copy, read

_IMAGE, _EXTENSION, _TRAILER = b"\x2c", b"\x21", b"\x3b"
_CONTROL, _APPLICATION = b"\xf9", b"\xff"
_LOOPS = frozenset({b"NETSCAPE2.0", b"ANIMEXTS1.0"})
"""Application extensions that hold the number of repetitions of an animation."""


def strip(source: BinaryIO, target: BinaryIO) -> None:
    head = read(source, 13)
    if head[:6] not in (b"GIF87a", b"GIF89a"):
        raise Malformed("the GIF signature is missing")
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
            raise Malformed("the GIF has an unknown block")
    target.write(_TRAILER)


def _table_bytes(flags: int) -> int:
    """The size of a colour table in bytes."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _first_block(source: BinaryIO) -> bytes:
    """Return the first sub-block and skip the others."""
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
