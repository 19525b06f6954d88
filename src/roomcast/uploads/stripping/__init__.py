"""Removes metadata from pictures without decoding them: location, camera, maker notes, text. Pixels stay as they are.

Only parts that are known to be needed to show the picture are kept (allow lists, not block lists), because previews,
trailing videos and unknown segments can hold a location, too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from roomcast.uploads.stripping import gif, isobmff, jpeg, png, webp
from roomcast.uploads.stripping.streams import BUFFER_BYTES, Malformed

__all__ = ["STRIPPED", "Malformed", "strip"]

_STRIPPERS: dict[str, Callable[[BinaryIO, BinaryIO], None]] = {
    "image/jpeg": jpeg.strip,
    "image/png": png.strip,
    "image/gif": gif.strip,
    "image/webp": webp.strip,
    "image/avif": isobmff.strip,
    "image/heic": isobmff.strip,
}
STRIPPED = frozenset(_STRIPPERS)
"""Content types whose metadata is removed."""


def strip(source: Path, target: Path, content_type: str) -> None:
    """Write the picture at `source` to `target` without metadata. Memory use is bounded.

    Raises Malformed for a file whose structure is not understood, and OSError.
    """
    with source.open("rb", BUFFER_BYTES) as reader, target.open("w+b", BUFFER_BYTES) as writer:
        _STRIPPERS[content_type](reader, writer)
