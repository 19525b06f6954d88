"""Reads and copies parts of files in bounded pieces."""

from typing import BinaryIO

BUFFER_BYTES = 64 * 1024


class Malformed(Exception):
    """The file does not have the structure of its type."""


def read(source: BinaryIO, size: int) -> bytes:
    """Read exactly `size` bytes, for small parts. Raises Malformed at the end of the file."""
    data = source.read(size)
    if len(data) < size:
        raise Malformed("the file ends too early")
    return data


def copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    """Copy exactly `size` bytes in bounded pieces. Raises Malformed at the end of the file."""
    while size > 0:
        data = read(source, min(size, BUFFER_BYTES))
        target.write(data)
        size -= len(data)


def skip(source: BinaryIO, size: int) -> None:
    """Skip `size` bytes. If they end after the end of the file, the next `read` raises Malformed."""
    source.seek(size, 1)


def fill_zeros(target: BinaryIO, start: int, end: int) -> None:
    target.seek(start)
    while start < end:
        size = min(end - start, BUFFER_BYTES)
        target.write(bytes(size))
        start += size
