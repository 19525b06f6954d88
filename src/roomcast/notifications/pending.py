"""Pending pushes: found in the logs, claimed by one process at a time, kept until they are settled.

Lock order, here and where a room is deleted: the room's head, the room, its push position, pending pushes by their
keys. Deleting a room locks the room first and its positions and pushes by cascade.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core import event_log
from roomcast.core.columns import among, table
from roomcast.core.db import Work
from roomcast.core.group_commit import GroupCommit
from roomcast.notifications import unseen
from roomcast.notifications.models import PendingPush, PushPosition, PushSubscription
from roomcast.notifications.unseen import Key, UnseenSpan
from roomcast.rooms.models import Room

LEASE = timedelta(seconds=60)
"""A process that has not settled a push by then is taken for dead."""

_KEY = col(PendingPush.subscription_id), col(PendingPush.room_id)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a scan of some rooms' logs found: by room the seqs it began and ended at, and the unseen messages in
    between."""

    from_seq: Mapping[UUID, int]
    to_seq: Mapping[UUID, int]
    spans: Mapping[Key, UnseenSpan]


async def scan_logs(session: AsyncSession, room_ids: Collection[UUID], moment: datetime) -> Findings:
    """Read the logs of these rooms from the notifier's positions to their ends."""
    rows = await session.exec(select(PushPosition).where(col(PushPosition.room_id).in_(room_ids)))
    from_seq = dict.fromkeys(room_ids, 0) | {row.room_id: row.seq for row in rows}
    tails = await event_log.tails(session, room_ids)
    return Findings(from_seq, tails, await unseen.unseen_above_positions(session, room_ids, moment))


async def store_findings(work: Work, findings: Findings, delay: timedelta) -> None:
    """Store the pending pushes and move the positions. Rooms that another process has scanned in the meantime are
    skipped. Raises IntegrityError when another process has just inserted a room's first position."""
    # Lock the rooms that still exist, so that none is deleted before the commit.
    rooms = select(Room.id).where(col(Room.id).in_(findings.to_seq)).order_by(col(Room.id))
    existing = (await work.session.exec(rooms.with_for_update(read=True, key_share=True))).all()
    query = select(PushPosition).where(col(PushPosition.room_id).in_(existing)).order_by(col(PushPosition.room_id))
    positions = {row.room_id: row for row in await work.session.exec(query.with_for_update())}
    for room_id in sorted(set(existing) - positions.keys()):
        positions[room_id] = PushPosition(room_id=room_id, seq=0)
        work.session.add(positions[room_id])
    await work.session.flush()
    unchanged = {room_id: row for room_id, row in positions.items() if row.seq == findings.from_seq[room_id]}
    await _store_pending(work, {key: span for key, span in findings.spans.items() if key[1] in unchanged}, delay)
    for room_id, position in unchanged.items():
        position.seq = findings.to_seq[room_id]


async def _store_pending(work: Work, spans: Mapping[Key, UnseenSpan], delay: timedelta) -> None:
    """Insert the pushes. For one that is pending already only `newest_seq` changes."""
    existing = await _lock_pending(work, col(PendingPush.room_id).in_({room_id for _, room_id in spans}))
    for key in existing.keys() & spans.keys():
        existing[key].newest_seq = spans[key].newest
    rows = [
        {
            "subscription_id": subscription_id,
            "room_id": room_id,
            "after_seq": span.first - 1,
            "newest_seq": span.newest,
            "due_at": span.since + delay,
            "attempts": 0,
        }
        for (subscription_id, room_id), span in spans.items()
        if (subscription_id, room_id) not in existing
    ]
    if rows:
        await work.session.exec(sa.insert(table(PendingPush)), params=rows)


async def _lock_pending(work: Work, which: sa.ColumnElement[bool]) -> dict[Key, PendingPush]:
    query = select(PendingPush).where(which).order_by(*_KEY).with_for_update()
    return {(row.subscription_id, row.room_id): row for row in await work.session.exec(query)}


# ------------------------------------------------------------------ sending


@dataclass(frozen=True, slots=True)
class Claim:
    """A push that only this process sends until the lease ends. `newest_seq`: the newest message found before the
    claim."""

    subscription: PushSubscription
    room_id: UUID
    newest_seq: int
    attempts: int

    @property
    def key(self) -> Key:
        return self.subscription.id, self.room_id


async def has_due(session: AsyncSession, moment: datetime) -> bool:
    return (
        await session.exec(select(PendingPush.room_id).where(PendingPush.due_at <= moment).limit(1))
    ).first() is not None


async def claim_due(work: Work, moment: datetime, limit: int, excluded_hosts: Collection[str]) -> list[Claim]:
    """Claim up to `limit` due pushes, the longest due first, to other hosts than these."""
    due = (
        select(PendingPush, PushSubscription)
        .join(PushSubscription, col(PushSubscription.id) == PendingPush.subscription_id)
        .where(PendingPush.due_at <= moment, col(PushSubscription.host).not_in(excluded_hosts))
        .order_by(col(PendingPush.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True, of=PendingPush)  # Concurrent processes claim different rows and never wait.
    )
    rows = (await work.session.exec(due)).all()
    for row, _ in rows:
        row.due_at = moment + LEASE
    return [Claim(subscription, row.room_id, row.newest_seq, row.attempts) for row, subscription in rows]


@dataclass(frozen=True, slots=True)
class Settlement:
    """The result of a claim: all messages up to `seen_seq` were pushed or need no push. `due_again_at`: when a push for
    newer messages is due, or the next try where this one failed."""

    claim: Claim
    seen_seq: int
    due_again_at: datetime
    failed: bool = False


class PushSettler(GroupCommit[Settlement, None]):
    """Stores the results of pushes. Those that arrive while one transaction commits share the next one."""

    async def run_group(self, work: Work, calls: Sequence[Settlement]) -> Sequence[None]:
        return await settle(work, calls)


async def settle(work: Work, settlements: Sequence[Settlement]) -> list[None]:
    """Delete or reschedule each of these pushes."""
    rows = await _lock_pending(work, among(_KEY, [settlement.claim.key for settlement in settlements]))
    for settlement in settlements:
        row = rows.get(settlement.claim.key)
        if row is None:  # the subscription or the room was deleted during the push
            continue
        if not settlement.failed and row.newest_seq <= settlement.seen_seq:
            await work.session.delete(row)
            continue
        # The push failed, or a scan found newer messages while it was sent: they get a push of their own.
        row.due_at = settlement.due_again_at
        row.attempts = settlement.claim.attempts + 1 if settlement.failed else 0
        if not settlement.failed:
            row.after_seq = settlement.seen_seq
    return [None for _ in settlements]
