"""From the log to what is to be said: looked through once for all processes, sent by one, kept until it is sent.

Lock order, here and where a room is deleted: the room's head, the room, its push position, pending pushes by their
keys. Deleting a room locks it first and its positions and pushes by cascade.
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
"""Whoever has not finished with a push by then has died."""

_PLACE = col(PendingPush.subscription_id), col(PendingPush.room_id)


@dataclass(frozen=True, slots=True)
class Findings:
    """What one look through some rooms' logs found: where it began, where it ended, what is news in between."""

    begun: Mapping[UUID, int]
    ended: Mapping[UUID, int]
    spans: Mapping[Key, UnseenSpan]


async def find(session: AsyncSession, room_ids: Collection[UUID], moment: datetime) -> Findings:
    """Look through the logs of these rooms from the notifier's cursor to their ends."""
    rows = await session.exec(select(PushPosition).where(col(PushPosition.room_id).in_(room_ids)))
    begun = dict.fromkeys(room_ids, 0) | {row.room_id: row.seq for row in rows}
    tails = await event_log.tails(session, room_ids)
    return Findings(begun, tails, await unseen.unseen_above_positions(session, room_ids, moment))


async def keep(work: Work, found: Findings, delay: timedelta) -> None:
    """What is news is pending, and the cursor is where the look ended; but for rooms into which another process has
    looked meanwhile. Raises IntegrityError where that was the first look of all."""
    positions = await _locked_positions(work, await _kept_rooms(work, found.ended))
    mine = {room_id: row for room_id, row in positions.items() if row.seq == found.begun[room_id]}
    await _add(work, {key: span for key, span in found.spans.items() if key[1] in mine}, delay)
    for room_id, position in mine.items():
        position.seq = found.ended[room_id]


async def _kept_rooms(work: Work, room_ids: Collection[UUID]) -> Collection[UUID]:
    """Those of these rooms that are still there, and are not deleted before the commit."""
    kept = select(Room.id).where(col(Room.id).in_(room_ids)).order_by(col(Room.id))
    return (await work.session.exec(kept.with_for_update(read=True, key_share=True))).all()


async def _locked_positions(work: Work, room_ids: Collection[UUID]) -> dict[UUID, PushPosition]:
    wanted = select(PushPosition).where(col(PushPosition.room_id).in_(room_ids)).order_by(col(PushPosition.room_id))
    found = {row.room_id: row for row in await work.session.exec(wanted.with_for_update())}
    for room_id in sorted(set(room_ids) - found.keys()):
        found[room_id] = PushPosition(room_id=room_id, seq=0)
        work.session.add(found[room_id])
    await work.session.flush()
    return found


async def _add(work: Work, found: Mapping[Key, UnseenSpan], delay: timedelta) -> None:
    """What is pending already only learns how far it goes now."""
    known = await _locked(work, col(PendingPush.room_id).in_({room_id for _, room_id in found}))
    for key in known.keys() & found.keys():
        known[key].newest_seq = found[key].newest
    rows = [
        {
            "subscription_id": subscription_id,
            "room_id": room_id,
            "after_seq": span.first - 1,
            "newest_seq": span.newest,
            "due_at": span.since + delay,
            "attempts": 0,
        }
        for (subscription_id, room_id), span in found.items()
        if (subscription_id, room_id) not in known
    ]
    if rows:
        await work.session.exec(sa.insert(table(PendingPush)), params=rows)


async def _locked(work: Work, which: sa.ColumnElement[bool]) -> dict[Key, PendingPush]:
    wanted = select(PendingPush).where(which).order_by(*_PLACE).with_for_update()
    return {(row.subscription_id, row.room_id): row for row in await work.session.exec(wanted)}


# ------------------------------------------------------------------ sending


@dataclass(frozen=True, slots=True)
class Claim:
    """A push that this process alone sends now. `newest_seq`: what had been seen of its room by then."""

    subscription: PushSubscription
    room_id: UUID
    newest_seq: int
    attempts: int

    @property
    def key(self) -> Key:
        return self.subscription.id, self.room_id


async def is_due(session: AsyncSession, moment: datetime) -> bool:
    return (
        await session.exec(select(PendingPush.room_id).where(PendingPush.due_at <= moment).limit(1))
    ).first() is not None


async def claim(work: Work, moment: datetime, limit: int, but: Collection[str]) -> list[Claim]:
    """At most so many of what is due, the longest due first, to none of these hosts."""
    due = (
        select(PendingPush, PushSubscription)
        .join(PushSubscription, col(PushSubscription.id) == PendingPush.subscription_id)
        .where(PendingPush.due_at <= moment, col(PushSubscription.host).not_in(but))
        .order_by(col(PendingPush.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True, of=PendingPush)
    )
    rows = (await work.session.exec(due)).all()
    for row, _ in rows:
        row.due_at = moment + LEASE
    return [Claim(subscription, row.room_id, row.newest_seq, row.attempts) for row, subscription in rows]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a claim: all up to `said_seq` was said or need not be. `again_at`: when the rest is due, or all
    of it where nothing was said."""

    claim: Claim
    said_seq: int
    again_at: datetime
    failed: bool = False


class PushSettler(GroupCommit[Done, None]):
    """Stores the results of pushes. Those that arrive while one transaction commits share the next one."""

    async def run_group(self, work: Work, calls: Sequence[Done]) -> Sequence[None]:
        return await settle(work, calls)


async def settle(work: Work, done: Sequence[Done]) -> list[None]:
    """Each of these is over, or due again."""
    rows = await _locked(work, among(_PLACE, [each.claim.key for each in done]))
    for each in done:
        if (row := rows.get(each.claim.key)) is not None:
            await _settle(work, row, each)
    return [None for _ in done]


async def _settle(work: Work, row: PendingPush, done: Done) -> None:
    if not done.failed and row.newest_seq <= done.said_seq:
        await work.session.delete(row)
        return
    row.due_at = done.again_at
    row.attempts = done.claim.attempts + 1 if done.failed else 0
    if not done.failed:
        row.after_seq = done.said_seq
