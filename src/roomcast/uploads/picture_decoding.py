"""Measures a picture and makes a thumbnail that holds nothing but pixels. Runs in the picture worker only."""

from pathlib import Path

from PIL import Image

from roomcast.core.errors import FileTooLarge

Image.MAX_IMAGE_PIXELS = None  # replaced by MAX_PIXELS; the library would only warn first

MAX_PIXELS = 50_000_000
"""Each pixel takes up to four bytes of memory, and a small file can declare any number of pixels."""

THUMBNAIL_PIXELS = 480
"""The length of the longer side of a thumbnail."""

_ORIENTATION = 0x0112
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_picture(path: Path, content_type: str, thumbnail: Path) -> tuple[int, int]:
    """Width and height of the picture at `path`, as it is shown; its thumbnail is written to `small`.

    Raises FileTooLarge for too many pixels, and whatever a decoder raises for bytes that it does not understand.
    """
    # Allow only the decoder of the detected type, so that others are not exposed to untrusted data.
    with Image.open(path, formats=[content_type.removeprefix("image/")]) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise FileTooLarge(f"A picture has at most {MAX_PIXELS} pixels.")
        picture.draft("RGB", (2 * THUMBNAIL_PIXELS, 2 * THUMBNAIL_PIXELS))
        turn = picture.getexif().get(_ORIENTATION, 1)
        # Scale down before rotating: a full copy of 50 million pixels would take 200 MB.
        mode = "RGBA" if picture.has_transparency_data else "RGB"
        pixels = picture if picture.mode == mode else picture.convert(mode)
        pixels.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
        bare = Image.new(mode, pixels.size)  # a new image has no metadata
        bare.paste(pixels)
        (bare.transpose(_TRANSPOSITIONS[turn]) if turn in _TRANSPOSITIONS else bare).save(thumbnail, "WEBP", quality=80)
    return (height, width) if turn >= 5 else (width, height)
