"""Ids. The server makes them before the row exists. Internally they are UUIDv7 and sort by time; clients get global ids
such as `user_0190…`, which name the type and are otherwise opaque.

A malformed global id counts as an unknown one, so parsing never raises.
"""

import re
import secrets
import time
from typing import Literal
from uuid import UUID

Kind = Literal["viewer", "user", "room", "msg", "thread", "session", "file", "audit"]
PairKind = Literal["member", "membership"]

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_GLOBAL_ID = re.compile(rf"([a-z]+)_({_UUID})")
_PAIR_ID = re.compile(rf"([a-z]+)_({_UUID})_({_UUID})")


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits. Needs no central counter."""
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def global_id(kind: Kind, id_: UUID) -> str:
    return f"{kind}_{id_}"


def local_id(kind: Kind, text: str) -> UUID | None:
    """The UUID in a global id of this kind. None for any other text."""
    match = _GLOBAL_ID.fullmatch(text)
    return UUID(match[2]) if match and match[1] == kind else None


def pair_id(kind: PairKind, room_id: UUID, user_id: UUID) -> str:
    """The global id of what a room and a user are the key of."""
    return f"{kind}_{room_id}_{user_id}"


def local_pair(kind: PairKind, text: str) -> tuple[UUID, UUID] | None:
    """The ids of room and user in a global id of this kind. None for any other text."""
    match = _PAIR_ID.fullmatch(text)
    return (UUID(match[2]), UUID(match[3])) if match and match[1] == kind else None
