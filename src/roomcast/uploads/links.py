"""Signed paths: whoever holds one may send a file, or read one, until the moment that it names.

A path to read is bound to the file, to time and to whom it was given: it is good for as long as that person may see the
file. An avatar's is everybody's. Its end is a fixed moment of the clock, the same whenever one asks about then, so that
browsers find what they have loaded before.
"""

import base64
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from roomcast.core.errors import Forbidden

Purpose = Literal["uploads", "files", "thumbnails"]

FILE_LINK_WINDOW = timedelta(minutes=15)
"""A path to a file lives once to twice as long."""

AVATAR_LINK_WINDOW = timedelta(days=1)
"""The same of an avatar, which everybody may see."""


@dataclass(frozen=True, slots=True)
class Links:
    """`keys`: the server's secrets; the first signs, all verify."""

    keys: Sequence[bytes]

    def path(self, purpose: Purpose, file_id: UUID, until: datetime, reader: UUID | None = None) -> str:
        end, whose = math.ceil(until.timestamp()), f"&reader={reader}" if reader else ""
        signature = _signature(self.keys[0], purpose, file_id, end, str(reader or ""))
        return f"/{purpose}/{file_id}?until={end}{whose}&signature={signature}"

    def read_path(
        self,
        purpose: Purpose,
        file_id: UUID,
        moment: datetime,
        window: timedelta = FILE_LINK_WINDOW,
        reader: UUID | None = None,
    ) -> str:
        """The path that this person (None: whoever) is given who asks around this moment."""
        seconds = window.total_seconds()
        end = (moment.timestamp() // seconds + 2) * seconds
        return self.path(purpose, file_id, datetime.fromtimestamp(end, moment.tzinfo), reader)

    def check(
        self, purpose: Purpose, file_id: UUID, until: str, signature: str, moment: datetime, reader: str = ""
    ) -> timedelta:
        """How long the path is still good. Raises Forbidden for one that was not made here, or is over."""
        end = int(until) if until.isascii() and until.isdigit() and len(until) <= 12 else 0
        made = [_signature(key, purpose, file_id, end, reader).encode() for key in self.keys]
        if not any(hmac.compare_digest(each, signature.encode()) for each in made):
            raise Forbidden("this address was not made here")
        left = timedelta(seconds=end - moment.timestamp())
        if left <= timedelta(0):
            raise Forbidden("this address has expired: ask for it again")
        return left


def _signature(key: bytes, purpose: Purpose, file_id: UUID, end: int, reader: str) -> str:
    mac = hmac.digest(key, f"roomcast:{purpose}:{file_id}:{end}:{reader}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
