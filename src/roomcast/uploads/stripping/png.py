"""PNG: a list of chunks (PNG specification, third edition)."""

import struct
import zlib
from typing import BinaryIO

from roomcast.uploads.stripping import exif
from roomcast.uploads.stripping.streams import Malformed, copy, read, skip

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = frozenset(
    b"IHDR PLTE IDAT tRNS cHRM gAMA iCCP sBIT sRGB bKGD hIST pHYs sPLT cICP mDCV mDCv cLLI cLLi acTL fcTL fdAT".split()
)
"""Pixels, colours, size and animation."""


def strip(source: BinaryIO, target: BinaryIO) -> None:
    if read(source, 8) != SIGNATURE:
        raise Malformed("the PNG signature is missing")
    target.write(SIGNATURE)
    has_orientation = False
    while True:
        head = read(source, 8)
        size, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":  # what follows is not part of the picture
            target.write(_chunk(kind, b""))
            return
        if kind in _KEPT:
            target.write(head)
            copy(source, target, size + 4)
        elif kind == b"eXIf" and not has_orientation:
            searched = min(size, exif.MAX_BYTES)
            tiff = exif.encode_orientation(exif.read_orientation(read(source, searched)))
            skip(source, size - searched + 4)
            if tiff:
                target.write(_chunk(b"eXIf", tiff))
            has_orientation = bool(tiff)
        elif kind[0] & 0x20:  # ancillary: a decoder does without it
            skip(source, size + 4)
        else:
            raise Malformed("the PNG has an unknown critical chunk")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
