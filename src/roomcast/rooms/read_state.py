"""What a membership holds for its own person: how far they have read, and how they want to be called.

Not in the room's log: it is nobody else's, so its changes take no seq and wait for no lock of the room.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col

from roomcast.core.columns import table
from roomcast.core.db import Work
from roomcast.core.direct_queries import execute_direct
from roomcast.rooms.models import Membership, NotificationLevel

_ROWS = table(Membership)
_FORWARD = (
    sa.update(_ROWS)
    .where(
        _ROWS.c.room_id == sa.bindparam("room"),
        _ROWS.c.user_id == sa.bindparam("reader"),
        _ROWS.c.last_read_seq < sa.bindparam("seq"),
    )
    .values(last_read_seq=sa.bindparam("seq"))
)
_SENT = (
    sa.update(_ROWS)
    .where(_ROWS.c.room_id == sa.bindparam("room"), _ROWS.c.user_id == sa.bindparam("author"))
    .values(last_sent_at=sa.bindparam("at"))
)


async def advance_read_positions(work: Work, marks: Mapping[tuple[UUID, UUID], int]) -> None:
    """By (room, user): everybody has read up to that seq, or further."""
    if marks:
        rows: Sequence[dict[str, Any]] = [
            {"room": room_id, "reader": user_id, "seq": seq} for (room_id, user_id), seq in marks.items()
        ]
        await execute_direct(work.session, _FORWARD, rows)


async def record_send_times(work: Work, sent_at: Mapping[tuple[UUID, UUID], datetime | None]) -> None:
    """By (room, user): when they last said something in a room in slow mode."""
    if sent_at:
        rows = [{"room": room_id, "author": user_id, "at": at} for (room_id, user_id), at in sent_at.items()]
        await execute_direct(work.session, _SENT, rows)


async def move_read_position(work: Work, member: Membership, seq: int, *, back: bool) -> bool:
    """The person has read up to `seq`; only `back` moves the mark to what was read before. Whether it moved."""
    mark = col(Membership.last_read_seq)
    moved = await work.session.exec(
        sa.update(Membership)
        .where(
            col(Membership.room_id) == member.room_id,
            col(Membership.user_id) == member.user_id,
            mark != seq if back else mark < seq,
        )
        .values(last_read_seq=seq)
        .execution_options(synchronize_session=False)
    )
    await work.session.refresh(member)
    return bool(moved.rowcount)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What is to change. `snooze`: whether `snoozed_until` is meant, which None lifts."""

    notification_level: NotificationLevel | None = None
    snooze: bool = False
    snoozed_until: datetime | None = None
    favourite: bool | None = None


def set_preferences(member: Membership, wanted: Preferences) -> None:
    """The membership as its person wants it."""
    if wanted.notification_level is not None:
        member.notification_level = wanted.notification_level
    if wanted.snooze:
        member.snoozed_until = wanted.snoozed_until
    if wanted.favourite is not None:
        member.favourite = wanted.favourite
