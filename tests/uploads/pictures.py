"""Pictures with a location in every part of the file where their format allows one."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

GPS = "N48.20817 E16.37382"
"""Written as text wherever a format takes text: a search for it finds every leak."""

MARK = GPS.encode()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><exif:GPSLatitude>' + MARK + b"</exif:GPSLatitude></x:xmpmeta>"


def exif(orientation: int = 6) -> Image.Exif:
    """EXIF data with an orientation, a location, the camera and maker notes."""
    found = Image.Exif()
    found[0x0112], found[0x010E], found[0x010F] = orientation, GPS, "Camera " + GPS
    exif_ifd, gps_ifd = found.get_ifd(0x8769), found.get_ifd(0x8825)
    exif_ifd[0x927C], exif_ifd[0x9286] = MARK * 3, MARK  # maker note, user comment
    gps_ifd[1], gps_ifd[2], gps_ifd[3], gps_ifd[0x1B] = "N", (48.0, 12.0, 29.412), "E", MARK
    return found


def photo(kind: str, size: tuple[int, int] = (90, 60), **options: Any) -> bytes:
    """A picture with EXIF, XMP and a colour profile, as cameras write it."""
    file = io.BytesIO()
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.save(file, kind, **{"exif": exif(), "xmp": XMP, "icc_profile": b"colours" * 20, **options})
    return file.getvalue()


def pixels(content: bytes) -> list[bytes]:
    """The pixels of each frame as stored, without applying the orientation."""
    with Image.open(io.BytesIO(content)) as picture:
        frames = []
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            frames.append(picture.convert("RGBA").tobytes())
        return frames


# ------------------------------------------------------------------ JPEG


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2) + payload


def jpeg() -> bytes:
    """A JPEG with all segments that are known to hold a location: before, within and after the picture."""
    plain = photo("jpeg", progressive=True, comment=MARK)
    thumbnail = photo("jpeg", (16, 16))
    jfif = plain.index(b"JFIF\0")
    with_thumbnail = plain[: jfif + 12] + bytes((1, 1)) + b"\xff\x00\xff" + plain[jfif + 14 :]
    head = with_thumbnail[:2] + struct.pack(">BBH", 0xFF, 0xE0, 19) + with_thumbnail[6 : jfif + 17]
    extra = b"".join(
        segment(marker, payload)
        for marker, payload in (
            (0xE0, b"JFXX\0\x10" + thumbnail),
            (0xE1, b"Exif\0\0" + exif(3).tobytes()),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
            (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + bytes(8) + XMP),
            (0xE2, b"MPF\0" + MARK),
            (0xE2, b"FPXR\0" + MARK),
            (0xE4, MARK),
            (0xEB, b"JP" + MARK),
            (0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(MARK).to_bytes(4) + MARK),
            (0xEE, b"Adobe\0d\0\0\0\0\x01" + MARK),
            (0xEF, MARK),
            (0xFE, MARK),
        )
    )
    rest = with_thumbnail[jfif + 17 :]
    scan = rest.rindex(b"\xff\xda")  # between two scans of a progressive picture
    middle = segment(0xFE, MARK) + segment(0xE1, b"Exif\0\0" + exif(8).tobytes())
    second = photo("jpeg", (30, 30))  # as in MPF files and motion photos
    return head + rest[:scan] + extra + middle + rest[scan:] + second + b"\0\0\0\x18ftypmp42" + MARK


# ------------------------------------------------------------------ PNG, GIF, WebP


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def png(**options: Any) -> bytes:
    plain = photo("png", **options)
    extra = b"".join(
        chunk(kind, data)
        for kind, data in (
            (b"tEXt", b"Comment\0" + MARK),
            (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(MARK)),
            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
            (b"tIME", bytes(7)),
            (b"caBX", MARK),
            (b"prVt", MARK),
        )
    )
    at, end = plain.index(b"IDAT") - 4, plain.index(b"IEND") - 4
    return plain[:at] + extra + plain[at:end] + extra + chunk(b"eXIf", MARK) + chunk(b"IEND", MARK) + MARK


def gif() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:], loop=0, comment=MARK)
    content = file.getvalue()
    xmp = b"\x21\xff\x0bXMP DataXMP" + XMP + b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    text = b"\x21\x01\x0c" + bytes(12) + bytes((len(MARK),)) + MARK + b"\0"
    return content[:-1] + xmp + text + content[-1:] + MARK


def webp(**options: Any) -> bytes:
    plain = photo("webp", **options)
    unknown = b"ROOM" + len(MARK).to_bytes(4, "little") + MARK + bytes(len(MARK) % 2)
    body = plain[8:] + unknown
    return b"RIFF" + len(body).to_bytes(4, "little") + body + MARK


def animated_webp() -> bytes:
    file = io.BytesIO()
    frames = [Image.linear_gradient("L").resize((20, 20)).rotate(turn).convert("RGB") for turn in (0, 90, 180)]
    frames[0].save(file, "webp", save_all=True, append_images=frames[1:], exif=exif(), xmp=XMP, duration=100)
    content = file.getvalue()
    at = content.index(b"ANMF")
    size = int.from_bytes(content[at + 4 : at + 8], "little")
    unknown = b"ROOM" + len(MARK).to_bytes(4, "little") + MARK + bytes(len(MARK) % 2)
    end = at + 8 + size + size % 2
    frame = content[at : at + 4] + (size + size % 2 + len(unknown)).to_bytes(4, "little")
    body = content[8:at] + frame + content[at + 8 : end] + unknown + content[end:]
    return b"RIFF" + len(body).to_bytes(4, "little") + body


# ------------------------------------------------------------------ HEIC, AVIF


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (len(body) + 8).to_bytes(4) + kind + body


def avif(**options: Any) -> bytes:
    """An AVIF encoded by Pillow, with a video after the picture, as in motion photos."""
    return photo("avif", **options) + box(b"mpvd", b"ftypmp42", MARK) + box(b"free", MARK) + box(b"uuid", MARK)


def animated_avif() -> bytes:
    """An AVIF sequence, whose frames are samples of a track."""
    file = io.BytesIO()
    frames = [Image.linear_gradient("L").resize((64, 64)).rotate(turn).convert("RGB") for turn in (0, 90, 180)]
    frames[0].save(file, "avif", save_all=True, append_images=frames[1:], exif=exif(1), xmp=XMP, duration=100)
    return file.getvalue() + box(b"mpvd", MARK) + box(b"uuid", MARK)


def heic(pixels_: bytes = b"\xd5" * 50, main: bytes = b"hvc1") -> bytes:
    """A HEIC as phones write it: a main picture in two parts, EXIF, XMP, a user description and unused bytes."""
    metadata = b"\0\0\0\0" + exif().tobytes(), XMP
    entries = (
        box(b"infe", bytes((2, 0, 0, 0)), struct.pack(">HH4s", 1, 0, main), MARK + b"\0"),
        box(b"infe", bytes((2, 0, 0, 1)), struct.pack(">HH4s", 2, 0, b"Exif"), MARK + b"\0"),
        box(b"infe", bytes((3, 0, 0, 1)), struct.pack(">IH4s", 3, 0, b"mime"), b"\0application/rdf+xml\0"),
        box(b"infe", bytes((2, 0, 0, 1)), struct.pack(">HH4s", 4, 0, b"uri "), MARK + b"\0"),
    )
    data = b"".join((pixels_[:20], metadata[0], b"left over " + MARK, pixels_[20:], metadata[1]))
    at = 0

    def meta() -> bytes:
        spans = [
            (1, 0, [(at, 20), (at + data.index(pixels_[20:], 20 + len(metadata[0])), len(pixels_) - 20)]),
            (2, 0, [(at + 20, len(metadata[0]))]),
            (3, 0, [(at + len(data) - len(XMP), len(XMP))]),
            (4, 1, [(3, len(MARK))]),
        ]
        locations = b"".join(
            struct.pack(">HHHH", item, method, 0, len(extents)) + b"".join(struct.pack(">II", *one) for one in extents)
            for item, method, extents in spans
        )
        return box(
            b"meta",
            bytes(4),
            box(b"hdlr", bytes(8), b"pict", bytes(13)),
            box(b"pitm", bytes(4), struct.pack(">H", 1)),
            box(b"iinf", bytes(4), struct.pack(">H", len(entries)), *entries),
            box(b"iprp", box(b"ipco", box(b"irot", b"\x03"), box(b"udes", bytes(4), MARK)), box(b"ipma", bytes(8))),
            box(b"idat", b"abc", MARK),
            box(b"iloc", bytes((1, 0, 0, 0, 0x44, 0x00)), struct.pack(">H", len(spans)), locations),
            box(b"xml ", bytes(4), XMP),
        )

    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    at = len(head) + len(meta()) + 8
    return head + meta() + box(b"mdat", data) + box(b"mpvd", MARK)


# ------------------------------------------------------------------ pictures that hurt


def slow_jpeg(scans: int = 2400) -> bytes:
    """A small file that is slow to decode: its last scan, which covers all pixels, is repeated many times."""
    file = io.BytesIO()
    Image.new("RGB", (6000, 6000)).save(file, "jpeg", progressive=True)
    content = file.getvalue()
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * scans + content[-2:]
