"""For whom a message is news: others' words that one is called by, has not read, and may still read.

Asked twice with the same words: when the log is looked through, and again at the moment of sending.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import Session
from roomcast.core.columns import among, table
from roomcast.core.direct_queries import fetch
from roomcast.core.event_log import RoomHead
from roomcast.messages.models import Mention, Message, MessageKind
from roomcast.notifications.models import PendingPush, PushPosition, PushSubscription
from roomcast.notifications.policy import MAX_MESSAGE_AGE
from roomcast.rooms.models import Membership, NotificationLevel

MAX_LOOKBACK = 2_000
"""Events that are looked back over in one room: whoever is further behind is told of the newest only."""

Key = tuple[str, UUID]
"""A subscription and a room."""

_SUBSCRIPTIONS, _SESSIONS, _MEMBERS = table(PushSubscription), table(Session), table(Membership)
_MESSAGES, _MENTIONS, _HEADS = table(Message), table(Mention), table(RoomHead)
_POSITIONS, _PENDING = table(PushPosition), table(PendingPush)

_ROOT, _REPLY = _MESSAGES.alias("root"), _MESSAGES.alias("reply")


@dataclass(frozen=True, slots=True)
class UnseenSpan:
    """Seqs of the first and the newest message that is news, when the first was written, and whether any of them calls
    one by name or calls all."""

    first: int
    newest: int
    since: datetime
    has_mention: bool


async def rooms_behind(session: AsyncSession, limit: int) -> list[UUID]:
    """Rooms in which something has happened that was not looked at, and in which somebody can be called.

    Begins with the subscriptions: what it costs depends on them, not on how many rooms there are.
    """
    behind = (
        sa.select(_MEMBERS.c.room_id)
        .distinct()
        .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.user_id == _MEMBERS.c.user_id)
        .join(_HEADS, _HEADS.c.room_id == _MEMBERS.c.room_id)
        .outerjoin(_POSITIONS, _POSITIONS.c.room_id == _MEMBERS.c.room_id)
        .where(
            _MEMBERS.c.notification_level != NotificationLevel.NONE,
            _HEADS.c.last_seq > sa.func.coalesce(_POSITIONS.c.seq, 0),
        )
        .limit(limit)
    )
    return [room_id for (room_id,) in await fetch(session, behind)]


async def unseen_above_positions(
    session: AsyncSession, room_ids: Collection[UUID], moment: datetime
) -> dict[Key, UnseenSpan]:
    """What is news above the notifier's cursor in these rooms, and for which browsers."""
    # The cursor first: SQLite keeps the order of outer joins, and would else look at all of a room's last minutes.
    within = _HEADS.outerjoin(_POSITIONS, _POSITIONS.c.room_id == _HEADS.c.room_id).join(
        _MESSAGES,
        sa.and_(
            _MESSAGES.c.room_id == _HEADS.c.room_id,
            _MESSAGES.c.seq > sa.func.coalesce(_POSITIONS.c.seq, 0),
            _MESSAGES.c.seq > _HEADS.c.last_seq - MAX_LOOKBACK,
        ),
    )
    return await _spans(session, _news(_to_members(within), moment).where(_HEADS.c.room_id.in_(room_ids)))


async def still_unseen(session: AsyncSession, keys: Collection[Key], moment: datetime) -> dict[Key, UnseenSpan]:
    """What of these pending pushes is still news."""
    within = _PENDING.join(
        _MESSAGES,
        sa.and_(
            _MESSAGES.c.room_id == _PENDING.c.room_id,
            _MESSAGES.c.seq > _PENDING.c.after_seq,
            _MESSAGES.c.seq <= _PENDING.c.newest_seq,  # what comes after it will be found, and would be told twice
        ),
    )
    chosen = among((_PENDING.c.subscription_id, _PENDING.c.room_id), keys)
    pending = _news(_to_members(within), moment).where(chosen, _PENDING.c.subscription_id == _SUBSCRIPTIONS.c.id)
    return await _spans(session, pending)


def _to_members(messages: sa.FromClause) -> sa.FromClause:
    """These messages with the members of their rooms, and those members' browsers."""
    return (
        messages.join(_MEMBERS, _MEMBERS.c.room_id == _MESSAGES.c.room_id)
        .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.user_id == _MEMBERS.c.user_id)
        .join(_SESSIONS, _SESSIONS.c.id == _SUBSCRIPTIONS.c.session_id)
    )


async def _spans(session: AsyncSession, found: "sa.Select[Any]") -> dict[Key, UnseenSpan]:
    rows = await fetch(session, found.group_by(_SUBSCRIPTIONS.c.id, _MESSAGES.c.room_id))
    return {(row[0], row[1]): UnseenSpan(row[2], row[3], row[4], bool(row[5])) for row in rows}


def _news(messages: sa.FromClause, moment: datetime) -> "sa.Select[Any]":
    """Of these messages to members, what is news to each."""
    seq, named = _MESSAGES.c.seq, sa.case((_is_named(), 1), else_=0)
    return (
        sa.select(
            _SUBSCRIPTIONS.c.id,
            _MESSAGES.c.room_id,
            sa.func.min(seq),
            sa.func.max(seq),
            sa.func.min(_MESSAGES.c.created_at),
            sa.func.max(named),
        )
        .select_from(messages)
        .where(
            _MESSAGES.c.kind == MessageKind.USER,
            _MESSAGES.c.deleted_at.is_(None),
            _MESSAGES.c.created_at > moment - MAX_MESSAGE_AGE,
            _MESSAGES.c.created_at >= _SUBSCRIPTIONS.c.created_at,
            _MESSAGES.c.author_id.is_distinct_from(_MEMBERS.c.user_id),
            seq > _MEMBERS.c.last_read_seq,
            sa.or_(_MEMBERS.c.snoozed_until.is_(None), _MEMBERS.c.snoozed_until <= moment),
            _SESSIONS.c.revoked_at.is_(None),
            _SESSIONS.c.expires_at > moment,
            _calls(),
        )
    )


def _calls() -> sa.ColumnElement[bool]:
    """Whether the member wants to be called by the message: ALL is the room's own talk and threads that one has a part
    in, MENTIONS is one's name and @room, wherever they are."""
    level, thread = _MEMBERS.c.notification_level, _MESSAGES.c.thread_root_id
    heard = sa.or_(
        thread.is_(None),
        _takes_part(_ROOT, _ROOT.c.id == thread),
        _takes_part(_REPLY, _REPLY.c.thread_root_id == thread),
    )
    return sa.or_(sa.and_(level == NotificationLevel.ALL, heard), sa.and_(level != NotificationLevel.NONE, _is_named()))


def _is_named() -> sa.ColumnElement[bool]:
    one = sa.exists().where(_MENTIONS.c.message_id == _MESSAGES.c.id, _MENTIONS.c.user_id == _MEMBERS.c.user_id)
    return sa.or_(_MESSAGES.c.mentions_room, one.correlate(_MESSAGES, _MEMBERS))


def _takes_part(messages: sa.FromClause, within: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether the member wrote any of these messages of a thread."""
    return sa.exists().where(within, messages.c.author_id == _MEMBERS.c.user_id).correlate(_MESSAGES, _MEMBERS)
