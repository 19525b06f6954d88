"""Signed, expiring paths for uploads and downloads.

A download path names the file, its expiry and the user it was issued to; it works as long as this user may see the
file. Paths of avatars work for everybody. Expiries are rounded to fixed times: a path stays the same for a while, so
that browsers can use their cache.
"""

import base64
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal
from uuid import UUID

from roomcast.core.errors import Forbidden

Purpose = Literal["uploads", "files", "thumbnails"]

FILE_LINK_WINDOW = timedelta(minutes=15)
"""A download path is valid for one to two windows."""

AVATAR_LINK_WINDOW = timedelta(days=1)
"""The window for avatars, which all users may see."""

CACHED_PATHS = 4_000
"""A page shows the pictures of the same few users many times."""


@dataclass(frozen=True, slots=True)
class Links:
    """`keys`: the first one signs, all verify."""

    keys: Sequence[bytes]

    def path(self, purpose: Purpose, file_id: UUID, until: datetime, reader: UUID | None = None) -> str:
        return _path(self.keys[0], purpose, file_id, math.ceil(until.timestamp()), reader)

    def read_path(
        self,
        purpose: Purpose,
        file_id: UUID,
        moment: datetime,
        window: timedelta = FILE_LINK_WINDOW,
        reader: UUID | None = None,
    ) -> str:
        """The download path for this user; None: for everybody."""
        seconds = window.total_seconds()
        return _path(self.keys[0], purpose, file_id, int((moment.timestamp() // seconds + 2) * seconds), reader)

    def check(
        self, purpose: Purpose, file_id: UUID, until: str, signature: str, moment: datetime, reader: str = ""
    ) -> timedelta:
        """How long the path is still valid. Raises Forbidden for a wrong signature or an expired path."""
        end = int(until) if until.isascii() and until.isdigit() and len(until) <= 12 else 0
        made = [_signature(key, purpose, file_id, end, reader).encode() for key in self.keys]
        if not any(hmac.compare_digest(each, signature.encode()) for each in made):
            raise Forbidden("The signature of this address is not valid.")
        left = timedelta(seconds=end - moment.timestamp())
        if left <= timedelta(0):
            raise Forbidden("This address has expired: query it again.")
        return left


@lru_cache(maxsize=CACHED_PATHS)
def _path(key: bytes, purpose: Purpose, file_id: UUID, end: int, reader: UUID | None) -> str:
    whose, signature = f"&reader={reader}" if reader else "", _signature(key, purpose, file_id, end, str(reader or ""))
    return f"/{purpose}/{file_id}?until={end}{whose}&signature={signature}"


def _signature(key: bytes, purpose: Purpose, file_id: UUID, end: int, reader: str) -> str:
    mac = hmac.digest(key, f"roomcast:{purpose}:{file_id}:{end}:{reader}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
