"""The private part of a membership: the read position and the notification preferences.

Its changes concern only this user. They are not in the room's log, take no seq and need no lock of the room.
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
from roomcast.core.unchanged import UNCHANGED, Unchanged
from roomcast.rooms.models import Membership, NotificationLevel

_MEMBERSHIPS = table(Membership)
_ADVANCE = (
    sa.update(_MEMBERSHIPS)
    .where(
        _MEMBERSHIPS.c.room_id == sa.bindparam("room"),
        _MEMBERSHIPS.c.user_id == sa.bindparam("reader"),
        _MEMBERSHIPS.c.last_read_seq < sa.bindparam("seq"),
    )
    .values(last_read_seq=sa.bindparam("seq"))
)
_SET_SENT_TIME = (
    sa.update(_MEMBERSHIPS)
    .where(_MEMBERSHIPS.c.room_id == sa.bindparam("room"), _MEMBERSHIPS.c.user_id == sa.bindparam("author"))
    .values(last_sent_at=sa.bindparam("at"))
)


async def advance_read_positions(work: Work, positions: Mapping[tuple[UUID, UUID], int]) -> None:
    """By (room, user): move the read position forward to that seq. A position that is further ahead stays."""
    if positions:
        rows: Sequence[dict[str, Any]] = [
            {"room": room_id, "reader": user_id, "seq": seq} for (room_id, user_id), seq in positions.items()
        ]
        await execute_direct(work.session, _ADVANCE, rows)


async def record_send_times(work: Work, sent_at: Mapping[tuple[UUID, UUID], datetime | None]) -> None:
    """By (room, user): when the user last sent a message in a room with slow mode."""
    if sent_at:
        rows = [{"room": room_id, "author": user_id, "at": at} for (room_id, user_id), at in sent_at.items()]
        await execute_direct(work.session, _SET_SENT_TIME, rows)


async def move_read_position(work: Work, member: Membership, seq: int, *, back: bool) -> bool:
    """Move the read position to `seq`. Only `back` allows moving it backwards. Returns whether it moved."""
    position = col(Membership.last_read_seq)
    moved = await work.session.exec(
        sa.update(Membership)
        .where(
            col(Membership.room_id) == member.room_id,
            col(Membership.user_id) == member.user_id,
            position != seq if back else position < seq,
        )
        .values(last_read_seq=seq)
        .execution_options(synchronize_session=False)
    )
    await work.session.refresh(member)
    return bool(moved.rowcount)


async def note_thread_change(work: Work, member: Membership) -> None:
    """Count a change of what the member has read or followed of the room's threads."""
    await work.session.exec(
        sa.update(Membership)
        .where(col(Membership.room_id) == member.room_id, col(Membership.user_id) == member.user_id)
        .values(thread_changes=col(Membership.thread_changes) + 1)
        .execution_options(synchronize_session=False)
    )


@dataclass(frozen=True, slots=True)
class Preferences:
    """The changes. None leaves a preference as it is; it lifts the snooze."""

    notification_level: NotificationLevel | None = None
    snoozed_until: datetime | None | Unchanged = UNCHANGED
    favourite: bool | None = None


def set_preferences(member: Membership, preferences: Preferences) -> None:
    """Apply the changes to the membership."""
    if preferences.notification_level is not None:
        member.notification_level = preferences.notification_level
    if not isinstance(preferences.snoozed_until, Unchanged):
        member.snoozed_until = preferences.snoozed_until
    if preferences.favourite is not None:
        member.favourite = preferences.favourite
