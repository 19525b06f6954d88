"""Stripping of pictures: pixels, colours and orientation are kept, and all metadata is removed."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from roomcast.uploads.content_types import detect_type
from roomcast.uploads.stripping import Malformed, exif, strip
from tests.uploads import pictures
from tests.uploads.pictures import MARK, pixels

PICTURES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "jpeg": ("image/jpeg", pictures.jpeg),
    "png": ("image/png", pictures.png),
    "gif": ("image/gif", pictures.gif),
    "webp": ("image/webp", pictures.webp),
    "lossless webp": ("image/webp", lambda: pictures.webp(lossless=True)),
    "animated webp": ("image/webp", pictures.animated_webp),
    "avif": ("image/avif", pictures.avif),
    "animated avif": ("image/avif", pictures.animated_avif),
}
WITH_ORIENTATION = ["jpeg", "png", "webp", "lossless webp", "animated webp", "avif"]
"""Pictures that keep an orientation, in EXIF or in a property of the picture (AVIF)."""
CONTENTS = {name: (kind, make()) for name, (kind, make) in PICTURES.items()} | {
    "heic": ("image/heic", pictures.heic()),
    "grid": ("image/heic", pictures.heic(main=b"grid")),
}


def stripped(tmp_path: Path, content: bytes, kind: str) -> bytes:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    strip(source, target, kind)
    return target.read_bytes()


@pytest.mark.parametrize("name", PICTURES)
def test_stripping_removes_every_location_and_keeps_the_pixels(tmp_path: Path, name: str) -> None:
    kind, make = PICTURES[name]
    content = make()
    assert content.count(MARK) > 2
    output = stripped(tmp_path, content, kind)
    assert MARK not in output
    assert b"GPS" not in output
    assert b"Camera" not in output
    assert pixels(output) == pixels(content)
    with Image.open(io.BytesIO(output)) as after, Image.open(io.BytesIO(content)) as before:
        assert dict(after.getexif()) == ({0x0112: before.getexif()[0x0112]} if name in WITH_ORIENTATION else {})
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        assert after.info.get("loop") == before.info.get("loop")
        assert not after.info.get("xmp")


@pytest.mark.parametrize("name", PICTURES)
def test_stripping_is_idempotent(tmp_path: Path, name: str) -> None:
    kind, make = PICTURES[name]
    once = stripped(tmp_path, make(), kind)
    assert stripped(tmp_path, once, kind) == once
    assert detect_type(once) == kind


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_each_orientation_is_kept(tmp_path: Path, kind: str, orientation: int) -> None:
    content = pictures.photo(kind, exif=pictures.exif(orientation))
    output = stripped(tmp_path, content, f"image/{kind}")
    with Image.open(io.BytesIO(output)) as picture:
        assert picture.getexif().get(0x0112, 1) == orientation


def test_a_heic_keeps_its_size_and_only_its_picture_items(tmp_path: Path) -> None:
    content = pictures.heic()
    assert content.count(MARK) > 8
    output = stripped(tmp_path, content, "image/heic")
    assert len(output) == len(content)
    assert MARK not in output
    assert b"Camera" not in output
    assert (output.count(b"\xd5"), output.count(b"\xd5" * 20)) == (50, 2)
    for removed in (b"Exif", b"mime", b"uri ", b"udes", b"xml ", b"mpvd"):
        assert removed in content
        assert removed not in output
    assert b"irot\x03" in output


@pytest.mark.parametrize(
    "content",
    [
        pictures.heic(main=b"jpeg"),  # an embedded JPEG, whose segments may hold a location
        pictures.heic().replace(b"pitm\0\0\0\0\0\1", b"pitm\0\0\0\0\0\2"),  # metadata as the main picture
        pictures.heic().replace(b"meta", b"mate", 1),
        pictures.heic().replace(b"iloc", b"loci", 1),
        pictures.heic().replace(b"pict", b"meta", 1).replace(b"iprp", b"prop", 1),
        pictures.heic() + pictures.heic()[24:],
    ],
)
def test_a_heic_whose_items_cannot_be_identified_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Malformed):
        stripped(tmp_path, content, "image/heic")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("image/jpeg", b"\xff\xd8\xff\xe1\x00\x01"),  # a length that does not count itself
        ("image/jpeg", b"\xff\xd8\xff\xe1\xff\xff" + MARK),
        ("image/jpeg", b"\xff\xd8\xff\x02\x00\x10" + bytes(20)),
        ("image/png", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT" + MARK),
        ("image/png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x00CgBI" + bytes(4)),
        ("image/webp", b"RIFF\x20\0\0\0WEBPVP8 \xff\xff\xff\xff" + MARK),
        ("image/gif", b"GIF89a" + bytes(7) + b"<html>"),
        ("image/heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("image/heic", b"\0\0\0\x07ftyp" + bytes(20)),
    ],
)
def test_a_broken_structure_is_refused(tmp_path: Path, kind: str, content: bytes) -> None:
    with pytest.raises(Malformed):
        stripped(tmp_path, content, kind)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif"])
def test_a_picture_larger_than_one_buffer_is_copied_completely(tmp_path: Path, name: str) -> None:
    file = io.BytesIO()
    options = {"quality": 100} if name == "jpeg" else {"lossless": True} if name == "webp" else {}
    Image.effect_noise((500, 500), 100).save(file, name, **options)
    content = file.getvalue()
    assert len(content) > 150_000
    output = stripped(tmp_path, content, f"image/{name}")
    assert pixels(output) == pixels(content)


HIDDEN = st.tuples(
    st.sampled_from([*range(0xE0, 0xF0), 0xFE]),
    st.sampled_from(
        [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08", b"JFIF\0", b"Adobe", b"MPF\0", b"http://ns.adobe.com/"]
    ),
    st.binary(max_size=20).filter(lambda data: b"\xff" not in data),
)
"""Segments that no decoder needs: marker, prefix, and the data before the location."""


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HIDDEN, min_size=1, max_size=5), st.binary(max_size=50))
def test_a_location_in_any_segment_is_removed(
    tmp_path: Path, hidden: list[tuple[int, bytes, bytes]], behind: bytes
) -> None:
    plain = pictures.photo("jpeg", progressive=True)
    segments = b"".join(pictures.segment(marker, start + data + MARK) for marker, start, data in hidden)
    scan = plain.rindex(b"\xff\xda")
    output = stripped(tmp_path, plain[:scan] + segments + plain[scan:] + behind + MARK, "image/jpeg")
    assert MARK not in output
    assert pixels(output) == pixels(plain)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=4), min_size=1, max_size=4),
    st.binary(max_size=9),
)
def test_a_location_in_any_chunk_is_removed(tmp_path: Path, names: list[str], data: bytes) -> None:
    plain = {kind: pictures.photo(kind) for kind in ("png", "webp")}
    at = plain["png"].index(b"IDAT") - 4
    chunks = b"".join(pictures.chunk(name.encode(), data + MARK) for name in names)
    output = stripped(tmp_path, plain["png"][:at] + chunks + plain["png"][at:], "image/png")
    assert MARK not in output
    assert pixels(output) == pixels(plain["png"])
    size = (len(data) + len(MARK)).to_bytes(4, "little")
    padding = bytes((len(data) + len(MARK)) % 2)
    body = plain["webp"][8:] + b"".join(name.encode() + size + data + MARK + padding for name in names)
    output = stripped(tmp_path, b"RIFF" + len(body).to_bytes(4, "little") + body, "image/webp")
    assert MARK not in output
    assert pixels(output) == pixels(plain["webp"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(CONTENTS)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=4),
    st.floats(0, 1),
)
def test_a_damaged_picture_is_stripped_or_refused_and_never_grows(
    tmp_path: Path, name: str, changes: list[tuple[float, bytes]], length: float
) -> None:
    kind, original = CONTENTS[name]
    content = bytearray(original)
    for at, data in changes:
        start = int(at * len(content))
        content[start : start + len(data)] = data
    del content[int(length * len(content)) + 1 :]
    try:
        output = stripped(tmp_path, bytes(content), kind)
    except Malformed:
        return
    assert len(output) <= len(content) + 64


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda data: b"MM\0*\0\0\0\x08" + data))
def test_any_bytes_have_a_valid_orientation(data: bytes) -> None:
    found = exif.read_orientation(data)
    assert 1 <= found <= 8
    assert exif.read_orientation(exif.encode_orientation(found)) == found
