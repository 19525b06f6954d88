"""What may be uploaded, and under which name it is kept. Pure."""

import re
import unicodedata
from datetime import timedelta

from roomcast.core.errors import FileTooLarge, ValidationFailed
from roomcast.core.text_folding import is_printable
from roomcast.uploads.content_types import UNKNOWN

MAX_NAME_BYTES = 200
"""In UTF-8: file systems end at 255, and a browser adds to it."""

MAX_UNUSED_FILES = 50
"""Files that one person has sent and not used."""

TICKET_LIFETIME = timedelta(hours=1)
"""How long a ticket takes bytes."""

UNUSED_RETENTION = timedelta(days=1)
"""How long a file is kept that nothing uses."""

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
_UNSAFE = re.compile(r'[<>:"|?*]')


def clean_filename(name: str) -> str:
    """The name as people see it and save it under: no path, nothing invisible, no dots or blanks at its ends."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name.strip()))[-1]
    shown = "".join(char for char in last if char.isspace() or is_printable(char))
    tidy = " ".join(_UNSAFE.sub("_", shown).split()).strip(". ")
    return _truncate(tidy) or "file"


def _truncate(name: str) -> str:
    """The ending stays: it says what to open the file with."""
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 16:
        stem, dot, ending = name, "", ""
    room = MAX_NAME_BYTES - len((dot + ending).encode())
    return stem.encode()[:room].decode(errors="ignore").strip(". ") + dot + ending


def check_type(declared: str) -> str:
    """The declared type without its parameters. Browsers declare nothing for what they do not know."""
    kind = declared.partition(";")[0].strip().lower()
    if not kind:
        return UNKNOWN
    if len(kind) > 127 or not _TYPE.fullmatch(kind):
        raise ValidationFailed("a content type is written like image/png", path=("input", "contentType"))
    return kind


def check_size(byte_size: int, limit: int) -> int:
    if byte_size < 1:
        raise ValidationFailed("a file has at least one byte", path=("input", "byteSize"))
    if byte_size > limit:
        raise FileTooLarge(f"a file has at most {limit} bytes", path=("input", "byteSize"))
    return byte_size
