"""Items of a HEIC or AVIF: which are pictures, and where their bytes are (ISO/IEC 14496-12, `iinf` and `iloc`)."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from roomcast.uploads.stripping.streams import Malformed

_PICTURES = frozenset(
    {b"hvc1", b"hev1", b"lhv1", b"av01", b"avc1", b"vvc1", b"unci", b"grid", b"iovl", b"iden", b"tmap"}
)
"""Coded pictures and derived ones. Not `jpeg`, whose own segments can hold metadata."""

_IN_FILE, _IN_IDAT = 0, 1


class Range(NamedTuple):
    start: int
    end: int


class _Cursor:
    """Reads big-endian numbers one after another."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self._at = data, at

    def number(self, size: int) -> int:
        if self._at + size > len(self._data):
            raise Malformed("a table ends too early")
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at])


def needed_items(
    entries: Iterable[tuple[int, bytes]], pitm: bytes, fill_zeros: Callable[[int, int], None]
) -> frozenset[int]:
    """The ids of items that are pictures. Overwrites the names of all items, and the types of the others.

    `entries`: the bodies of `infe` boxes with their offsets; `fill_zeros(offset, size)` overwrites a part of the file.
    """
    needed = set()
    for at, body in entries:
        version = _Cursor(body).number(1)
        if version not in (2, 3):
            raise Malformed("an item entry has an unknown version")
        id_bytes = 2 if version == 2 else 4
        item, kind_at = _Cursor(body, 4).number(id_bytes), 4 + id_bytes + 2
        is_picture = body[kind_at : kind_at + 4] in _PICTURES
        if is_picture:
            needed.add(item)
        name_at = kind_at + 4 if is_picture else kind_at
        fill_zeros(at + name_at, max(len(body) - name_at, 0))
    if _Cursor(pitm, 4).number(2 if pitm[:1] == b"\0" else 4) not in needed:
        raise Malformed("the main item is not a picture")
    return frozenset(needed)


def item_ranges(iloc: bytes, needed: frozenset[int], idat: Range) -> tuple[list[Range], list[Range]]:
    """The ranges of the needed items, and those of all others."""
    version, cursor = iloc[0] if iloc else 0, _Cursor(iloc, 4)
    sizes = cursor.number(2)
    offset_bytes, length_bytes, base_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_bytes = sizes & 15 if version else 0
    kept: list[Range] = []
    removed: list[Range] = []
    for _ in range(cursor.number(4 if version == 2 else 2)):
        item = cursor.number(4 if version == 2 else 2)
        method = cursor.number(2) & 15 if version else _IN_FILE
        is_elsewhere = cursor.number(2) != 0
        base = cursor.number(base_bytes)
        for _ in range(cursor.number(2)):
            cursor.number(index_bytes)
            start = base + cursor.number(offset_bytes) + (idat.start if method == _IN_IDAT else 0)
            extent = Range(start, start + cursor.number(length_bytes))
            if item not in needed:
                removed.append(extent)
            elif is_elsewhere or method not in (_IN_FILE, _IN_IDAT) or extent.start == extent.end:
                raise Malformed("an item is not stored in ranges of the file")
            else:
                kept.append(extent)
    return kept, removed
