"""Rules for uploads: names, types, sizes, lifetimes. Pure functions."""

import re
import unicodedata
from datetime import timedelta

from roomcast.core.errors import FileTooLarge, ValidationFailed
from roomcast.core.text_folding import is_printable
from roomcast.uploads.content_types import UNKNOWN

MAX_NAME_BYTES = 200
"""In UTF-8. File systems allow 255, and browsers may append to the name."""

TICKET_LIFETIME = timedelta(hours=1)
"""How long the bytes of a new upload are accepted."""

UNUSED_RETENTION = timedelta(days=1)
"""How long an unused file is stored."""

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
_UNSAFE = re.compile(r'[<>:"|?*]')


def clean_filename(name: str) -> str:
    """The name to show and to save as: without path, invisible characters, and dots or spaces at its ends."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    shown = "".join(char for char in last if char.isspace() or is_printable(char))
    tidy = " ".join(_UNSAFE.sub("_", shown).split()).strip(". ")
    # Shortened, but with its extension.
    stem, dot, ending = tidy.rpartition(".")
    if not dot or len(ending) > 16:
        stem, dot, ending = tidy, "", ""
    max_bytes = MAX_NAME_BYTES - len((dot + ending).encode())
    return stem.encode()[:max_bytes].decode(errors="ignore").strip(". ") + dot + ending or "file"


def check_type(declared: str) -> str:
    """The declared type without parameters. Browsers declare an empty type for files that they do not know."""
    kind = declared.partition(";")[0].strip().lower()
    if not kind:
        return UNKNOWN
    if len(kind) > 127 or not _TYPE.fullmatch(kind):
        raise ValidationFailed("A content type has to look like image/png.", path=("input", "contentType"))
    return kind


def check_size(byte_size: int, limit: int) -> int:
    if byte_size < 1:
        raise ValidationFailed("A file needs at least one byte.", path=("input", "byteSize"))
    if byte_size > limit:
        raise FileTooLarge(f"A file has at most {limit} bytes.", path=("input", "byteSize"))
    return byte_size
