"""HTTP headers of file downloads: byte ranges and ETags (RFC 9110), and Content-Disposition (RFC 6266)."""

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import quote

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Unsatisfiable(Exception):
    """The range lies outside of the file: the response is 416."""


def has_current_version(headers: Mapping[str, str], etag: str) -> bool:
    """Whether the client has this version already, so that 304 is enough."""
    return etag in headers.get("if-none-match", "") or headers.get("if-none-match") == "*"


def requested_range(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """The requested range as (start, end), end excluded; None for the whole file. Raises Unsatisfiable.

    The whole file is also sent for several ranges, which servers may ignore, and where `If-Range` names another
    version.
    """
    match = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if match is None or match[0] == "bytes=-" or headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if not first:  # `bytes=-500`: the last 500 bytes
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return None
    if start >= end:
        raise Unsatisfiable
    return start, end


def disposition(filename: str, *, inline: bool) -> str:
    """The value of Content-Disposition. No character of the filename can end its quotes or its line."""
    plain = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    ascii_name = re.sub(r"[^\w .()\[\]+,=@!~-]", "_", plain, flags=re.ASCII).strip(". ") or "file"
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(filename, safe='')}"
