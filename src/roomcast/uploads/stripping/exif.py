"""Reads and writes the orientation, the only part of EXIF data that is kept."""

import struct

ORIENTATION_TAG, SHORT = 0x0112, 3
MAX_BYTES = 64 * 1024
"""The number of bytes of EXIF data that are searched: cameras write the orientation into the first few hundred."""


def read_orientation(data: bytes) -> int:
    """The orientation, 1 to 8, of data that begins with a TIFF header or `Exif\\0\\0`. 1 (upright) if there is none."""
    tiff = data.removeprefix(b"Exif\0\0")[:MAX_BYTES]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        [directory] = struct.unpack_from(order + "I", tiff, 4)
        [count] = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == ORIENTATION_TAG:
                return value if kind == SHORT and 1 <= value <= 8 else 1
        return 1
    except struct.error:  # an offset or a count that lies outside of the data
        return 1


def encode_orientation(value: int) -> bytes:
    """TIFF data that holds this orientation and nothing else; empty for 1, the default."""
    if value == 1:
        return b""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION_TAG, SHORT, 1, value, 0, 0)
