"""HEIC and AVIF: boxes in boxes (ISO/IEC 14496-12), with pictures and metadata as items (ISO/IEC 23008-12).

Boxes refer to each other by offsets in the file, so nothing is cut out: parts that are not needed are overwritten with
zeros, and their boxes become `free` boxes, which readers skip.
"""

import shutil
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from roomcast.uploads.stripping.items import Range, item_ranges, needed_items
from roomcast.uploads.stripping.streams import BUFFER_BYTES, Malformed, fill_zeros, read

MAX_TABLE_BYTES = 4 * 1024 * 1024
"""The limit of the item list and the item location table. A picture of a thousand tiles has about 50 KB."""

MAX_BOXES = 10_000
"""The limit of boxes inside of one box."""

_FILE = frozenset({b"ftyp", b"styp", b"meta", b"mdat", b"moov"})
_META = frozenset({b"hdlr", b"pitm", b"iloc", b"iinf", b"iref", b"iprp", b"idat", b"dinf", b"grpl"})
_PROPERTIES = frozenset(
    b"hvcC lhvC av1C avcC vvcC uncC cmpd ispe pasp colr pixi auxC irot imir clap rref lsel a1op a1lx oinf tols "
    b"clli mdcv cclv amve ndwt reve ster prfr".split()
)
"""Properties that decoders need. Others can describe the picture or the position of the camera."""

_MOVIE, _TRACK = frozenset({b"mvhd", b"trak", b"mvex"}), frozenset({b"tkhd", b"edts", b"tref", b"mdia"})
_PICTURE_TRACKS = frozenset({b"pict", b"vide", b"auxv"})


class Box(NamedTuple):
    """Offsets in the file. `start`: of the box header; `body`: of the content."""

    kind: bytes
    start: int
    body: int
    end: int


def strip(source: BinaryIO, target: BinaryIO) -> None:
    shutil.copyfileobj(source, target, BUFFER_BYTES)
    boxes = _keep_boxes(target, 0, target.tell(), _FILE)
    metas, movies = ([box for box in boxes if box.kind == kind] for kind in (b"meta", b"moov"))
    if len(metas) > 1 or len(movies) > 1 or not boxes or boxes[0].kind != b"ftyp":
        raise Malformed("the file does not begin with ftyp, or it has several item or track lists")
    for movie in movies:
        _strip_movie(target, movie)
    data = [Range(box.body, box.end) for box in boxes if box.kind == b"mdat"]
    if metas:
        _strip_items(target, metas[0], data, has_movie=bool(movies))
    elif not movies:
        raise Malformed("the file has neither an item list nor a track list")


def _strip_items(file: BinaryIO, meta: Box, data: list[Range], *, has_movie: bool) -> None:
    boxes = {box.kind: box for box in _keep_boxes(file, meta.body + 4, meta.end, _META)}
    try:
        pitm, iinf, iloc, iprp = (boxes[kind] for kind in (b"pitm", b"iinf", b"iloc", b"iprp"))
    except KeyError:
        raise Malformed("the item list or the item location table is missing") from None
    # Properties are numbered by their place, so one that is not needed stays as an empty one.
    for box in _keep_boxes(file, iprp.body, iprp.end, frozenset({b"ipco", b"ipma"})):
        if box.kind == b"ipco":
            _keep_boxes(file, box.body, box.end, _PROPERTIES)
    needed = needed_items(_entries(file, iinf), _body(file, pitm), lambda at, size: fill_zeros(file, at, at + size))
    idat = boxes.get(b"idat")
    inside = Range(idat.body, idat.end) if idat else Range(0, 0)
    kept, removed = item_ranges(_body(file, iloc), needed, inside)
    if has_movie:  # its samples lie between the items, so only the ranges of items can be removed
        data = [Range(max(one.start, part.start), min(one.end, part.end)) for part in data for one in removed]
    kept.sort()
    for part in (inside, *data):
        for gap in _gaps(part, kept):
            fill_zeros(file, *gap)


def _strip_movie(file: BinaryIO, movie: Box) -> None:
    for track in _keep_boxes(file, movie.body, movie.end, _MOVIE):
        if track.kind == b"trak":
            for media in _keep_boxes(file, track.body, track.end, _TRACK):
                if media.kind == b"mdia":
                    _check_media(file, media)


def _check_media(file: BinaryIO, media: Box) -> None:
    """Refuse tracks that are not pictures: a track of locations shares the data box of the pictures, and its samples
    cannot be told from theirs by the offsets of boxes alone."""
    for box in _boxes(file, media.body, media.end):
        if box.kind == b"hdlr" and _body(file, box)[8:12] not in _PICTURE_TRACKS:
            raise Malformed("the sequence has tracks that are not pictures")


# ------------------------------------------------------------------ boxes


def _keep_boxes(file: BinaryIO, start: int, end: int, kinds: frozenset[bytes]) -> list[Box]:
    """Empty all boxes but those of these kinds. Returns the kept ones."""
    boxes = list(_boxes(file, start, end))
    for box in boxes:
        if box.kind not in kinds:
            file.seek(box.start + 4)
            file.write(b"free")
            fill_zeros(file, box.body, box.end)
    return [box for box in boxes if box.kind in kinds]


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    for _ in range(MAX_BOXES):
        if start >= end:
            return
        file.seek(start)
        size, kind, head = int.from_bytes(read(file, 4)), read(file, 4), 8
        if size == 1:
            size, head = int.from_bytes(read(file, 8)), 16
        elif size == 0:  # the box extends to the end
            size = end - start
        if size < head or start + size > end:
            raise Malformed("a box extends beyond the box that contains it")
        yield Box(kind, start, start + head, start + size)
        start += size
    raise Malformed("a box contains too many boxes")


def _body(file: BinaryIO, box: Box) -> bytes:
    if box.end - box.body > MAX_TABLE_BYTES:
        raise Malformed("a table is too long")
    file.seek(box.body)
    return read(file, box.end - box.body)


def _entries(file: BinaryIO, iinf: Box) -> list[tuple[int, bytes]]:
    """The bodies of the item list's entries, each with its offset in the file."""
    version = _body(file, iinf)[:1]
    start = iinf.body + (6 if version == b"\0" else 8)
    return [(box.body, _body(file, box)) for box in _boxes(file, start, iinf.end) if box.kind == b"infe"]


def _gaps(part: Range, kept: Iterable[Range]) -> Iterator[Range]:
    """The ranges of `part` that are in none of the kept ranges, which are sorted."""
    start = part.start
    for one in kept:
        if one.end <= start or one.start >= part.end:
            continue
        if one.start > start:
            yield Range(start, one.start)
        start = max(start, one.end)
    if start < part.end:
        yield Range(start, part.end)
