"""What a picture measures, and a small one of it that holds nothing but pixels: no place, no camera, no words."""

from dataclasses import dataclass
from pathlib import Path

from roomcast.core.errors import FileTooLarge, Refused, UnsupportedMediaType

try:
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # our own limit refuses; the library's would warn in the log first
except ImportError:  # the extra `media` is not installed
    Image = None  # type: ignore[assignment]

MAX_PIXELS = 50_000_000
"""A decoded picture needs four bytes for each: a small file can hold as many as it likes."""

THUMBNAIL_PIXELS = 480
"""The longer side of a thumbnail."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Its size in pixels, as it is shown."""

    width: int
    height: int
    has_thumbnail: bool


def can_look() -> bool:
    """Whether the library for it is here."""
    return Image is not None


def look(path: Path, content_type: str, small: Path) -> Picture:
    """Measure the picture at `path` and put its thumbnail at `small`. Takes a while: for a thread.

    Raises UnsupportedMediaType for what cannot be read to its end, FileTooLarge for too many pixels.
    """
    try:
        # Only the decoder of what the first bytes say: the others never see what strangers send.
        with Image.open(path, formats=[content_type.removeprefix("image/")]) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise FileTooLarge(f"a picture has at most {MAX_PIXELS} pixels")
            return _shrink(picture, small)
    except Refused:
        raise
    except Exception as error:  # decoders raise whatever strangers' bytes lead them to
        raise UnsupportedMediaType("this picture cannot be read") from error


def _shrink(picture: "Image.Image", small: Path) -> Picture:
    turned = picture.getexif().get(0x0112, 1) >= 5  # lies on its side
    width, height = picture.size[::-1] if turned else picture.size
    picture.draft("RGB", (2 * THUMBNAIL_PIXELS, 2 * THUMBNAIL_PIXELS))
    upright = ImageOps.exif_transpose(picture)
    pixels = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    pixels.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    bare = Image.new(pixels.mode, pixels.size)  # nothing comes along but what is pasted
    bare.paste(pixels)
    bare.save(small, "WEBP", quality=80)
    return Picture(width, height, has_thumbnail=True)
