"""Signed paths: whoever holds one may send a file, or read one, until the moment that it names.

A path to read is bound to the file and to time, not to a person: everybody who is shown a message is shown the same
one, so that an event is executed once for all. Its end is a fixed moment of the clock, the same for all who ask about
then, so that browsers find what they have loaded before.
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

READING = timedelta(minutes=15)
"""A path to a file lives once to twice as long."""

SHOWING = timedelta(days=1)
"""The same of an avatar, which everybody may see."""


@dataclass(frozen=True, slots=True)
class Links:
    """`keys`: the server's secrets; the first signs, all verify."""

    keys: Sequence[bytes]

    def path(self, purpose: Purpose, file_id: UUID, until: datetime) -> str:
        end = math.ceil(until.timestamp())
        return f"/{purpose}/{file_id}?until={end}&signature={_signature(self.keys[0], purpose, file_id, end)}"

    def reading(self, purpose: Purpose, file_id: UUID, moment: datetime, window: timedelta = READING) -> str:
        """The path that whoever asks around this moment is given."""
        seconds = window.total_seconds()
        end = (moment.timestamp() // seconds + 2) * seconds
        return self.path(purpose, file_id, datetime.fromtimestamp(end, moment.tzinfo))

    def check(self, purpose: Purpose, file_id: UUID, until: str, signature: str, moment: datetime) -> timedelta:
        """How long the path is still good. Raises Forbidden for one that was not made here, or is over."""
        end = int(until) if until.isascii() and until.isdigit() and len(until) <= 12 else 0
        made = [_signature(key, purpose, file_id, end).encode() for key in self.keys]
        if not any(hmac.compare_digest(each, signature.encode()) for each in made):
            raise Forbidden("this address was not made here")
        left = timedelta(seconds=end - moment.timestamp())
        if left <= timedelta(0):
            raise Forbidden("this address has expired: ask for it again")
        return left


def _signature(key: bytes, purpose: Purpose, file_id: UUID, end: int) -> str:
    mac = hmac.digest(key, f"roomcast:{purpose}:{file_id}:{end}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
