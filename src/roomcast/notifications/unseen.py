"""Unseen messages: which messages a user is to be notified of. They are by others, match the user's notification level,
are not read, and the user can still read them.

The same conditions are evaluated twice: when the log is scanned, and again just before a push is sent.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import Session
from roomcast.core.columns import among, higher, table
from roomcast.core.direct_queries import fetch
from roomcast.core.event_log import RoomHead
from roomcast.messages.models import Mention, Message, MessageKind, ThreadState
from roomcast.notifications.models import PendingPush, PushPosition, PushSubscription
from roomcast.notifications.policy import MAX_MESSAGE_AGE
from roomcast.rooms.models import Membership, NotificationLevel

MAX_LOOKBACK = 2_000
"""Events of one room that are looked at. A notifier that is further behind considers only the newest ones."""

Key = tuple[str, UUID]
"""(subscription id, room id)."""

_SUBSCRIPTIONS, _SESSIONS, _MEMBERS = table(PushSubscription), table(Session), table(Membership)
_MESSAGES, _MENTIONS, _HEADS = table(Message), table(Mention), table(RoomHead)
_POSITIONS, _PENDING, _STATES = table(PushPosition), table(PendingPush), table(ThreadState)

_READ_SEQ = sa.case(
    (_MESSAGES.c.thread_root_id.is_(None), _MEMBERS.c.last_read_seq),
    else_=higher(sa.func.coalesce(_STATES.c.last_read_seq, 0), _MEMBERS.c.threads_read_seq),
)
"""How far the member has read the room or, for a reply, its thread."""


@dataclass(frozen=True, slots=True)
class UnseenSpan:
    """The seqs of the first and the newest unseen message, when the first was written, and whether any of them mentions
    the user or the room."""

    first: int
    newest: int
    since: datetime
    has_mention: bool


async def rooms_behind(session: AsyncSession, limit: int) -> list[UUID]:
    """Rooms with events above the notifier's position and with at least one member who may get a push.

    The query starts from the subscriptions, so its cost depends on their number and not on the number of rooms.
    """
    query = (
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
    return [room_id for (room_id,) in await fetch(session, query)]


async def unseen_above_positions(
    session: AsyncSession, room_ids: Collection[UUID], moment: datetime
) -> dict[Key, UnseenSpan]:
    """The unseen messages above the notifier's positions in these rooms, by subscription and room."""
    # The position first: SQLite keeps the order of outer joins and would otherwise read all recent messages of a room.
    within = _HEADS.outerjoin(_POSITIONS, _POSITIONS.c.room_id == _HEADS.c.room_id).join(
        _MESSAGES,
        sa.and_(
            _MESSAGES.c.room_id == _HEADS.c.room_id,
            _MESSAGES.c.seq > sa.func.coalesce(_POSITIONS.c.seq, 0),
            _MESSAGES.c.seq > _HEADS.c.last_seq - MAX_LOOKBACK,
        ),
    )
    return await _spans(session, _unseen_query(_to_members(within), moment).where(_HEADS.c.room_id.in_(room_ids)))


async def still_unseen(session: AsyncSession, keys: Collection[Key], moment: datetime) -> dict[Key, UnseenSpan]:
    """Which messages of these pending pushes are still unseen."""
    within = _PENDING.join(
        _MESSAGES,
        sa.and_(
            _MESSAGES.c.room_id == _PENDING.c.room_id,
            _MESSAGES.c.seq > _PENDING.c.after_seq,
            # Newer messages are found by the next scan; here they would be pushed twice.
            _MESSAGES.c.seq <= _PENDING.c.newest_seq,
        ),
    )
    chosen = among((_PENDING.c.subscription_id, _PENDING.c.room_id), keys)
    pending = _unseen_query(_to_members(within), moment).where(
        chosen, _PENDING.c.subscription_id == _SUBSCRIPTIONS.c.id
    )
    return await _spans(session, pending)


def _to_members(messages: sa.FromClause) -> sa.FromClause:
    """These messages joined with the members of their rooms, the members' subscriptions and what they have read and
    follow of the thread."""
    own_state = sa.and_(_STATES.c.root_id == _MESSAGES.c.thread_root_id, _STATES.c.user_id == _MEMBERS.c.user_id)
    return (
        messages.join(_MEMBERS, _MEMBERS.c.room_id == _MESSAGES.c.room_id)
        .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.user_id == _MEMBERS.c.user_id)
        .join(_SESSIONS, _SESSIONS.c.id == _SUBSCRIPTIONS.c.session_id)
        .outerjoin(_STATES, own_state)
    )


async def _spans(session: AsyncSession, found: "sa.Select[Any]") -> dict[Key, UnseenSpan]:
    rows = await fetch(session, found.group_by(_SUBSCRIPTIONS.c.id, _MESSAGES.c.room_id))
    return {(row[0], row[1]): UnseenSpan(row[2], row[3], row[4], bool(row[5])) for row in rows}


def _unseen_query(messages: sa.FromClause, moment: datetime) -> "sa.Select[Any]":
    """Of these messages joined with members: those that are unseen. The caller groups the rows."""
    seq, mentions = _MESSAGES.c.seq, sa.case((_mentions_member(), 1), else_=0)
    return (
        sa.select(
            _SUBSCRIPTIONS.c.id,
            _MESSAGES.c.room_id,
            sa.func.min(seq),
            sa.func.max(seq),
            sa.func.min(_MESSAGES.c.created_at),
            sa.func.max(mentions),
        )
        .select_from(messages)
        .where(
            _MESSAGES.c.kind == MessageKind.USER,
            _MESSAGES.c.deleted_at.is_(None),
            _MESSAGES.c.created_at > moment - MAX_MESSAGE_AGE,
            _MESSAGES.c.created_at >= _SUBSCRIPTIONS.c.created_at,
            _MESSAGES.c.author_id.is_distinct_from(_MEMBERS.c.user_id),
            seq > _READ_SEQ,
            sa.or_(_MEMBERS.c.snoozed_until.is_(None), _MEMBERS.c.snoozed_until <= moment),
            _SESSIONS.c.revoked_at.is_(None),
            _SESSIONS.c.expires_at > moment,
            _wants_notification(),
        )
    )


def _wants_notification() -> sa.ColumnElement[bool]:
    """Whether the member's notification level covers the message. ALL: the main history, threads that the member
    follows, and mentions. MENTIONS: mentions of the member and @room. Mentions count in all threads."""
    level = _MEMBERS.c.notification_level
    in_scope = sa.or_(_MESSAGES.c.thread_root_id.is_(None), _STATES.c.is_following)
    return sa.or_(
        sa.and_(level == NotificationLevel.ALL, in_scope), sa.and_(level != NotificationLevel.NONE, _mentions_member())
    )


def _mentions_member() -> sa.ColumnElement[bool]:
    mention = sa.exists().where(_MENTIONS.c.message_id == _MESSAGES.c.id, _MENTIONS.c.user_id == _MEMBERS.c.user_id)
    return sa.or_(_MESSAGES.c.mentions_room, mention.correlate(_MESSAGES, _MEMBERS))
