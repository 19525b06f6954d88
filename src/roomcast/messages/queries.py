"""Reads of messages. For history, the caller has checked that the actor can read the room."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.columns import among
from roomcast.core.direct_queries import fetch
from roomcast.core.errors import NotFound
from roomcast.core.event_log import RoomHead
from roomcast.core.paging import Key, Page, Window, page, write_cursor
from roomcast.messages.models import FormerBody, Message, MessageKind
from roomcast.rooms import queries as rooms
from roomcast.rooms.models import Membership, Room

_PAGE_NAME = "messages"
_KEYS = [Key(sa.inspect(Message).c.seq)]


@dataclass(frozen=True, slots=True)
class Place:
    """The messages of a room up to `last_seq`: those of its main history, or of one of its threads."""

    room_id: UUID
    last_seq: int
    thread_root_id: UUID | None = None


async def history(session: AsyncSession, place: Place, window: Window) -> Page[tuple[Message]]:
    """A page of the room's main history, or of the replies in one of its threads, oldest first."""
    return await page(session, _PAGE_NAME, _history_query(place), _KEYS, window)


def history_cursor(message: Message) -> str:
    """The cursor of the message in the pages of `history` and `messages_around`."""
    return write_cursor(_PAGE_NAME, (message.seq,))


async def messages_around(
    session: AsyncSession, place: Place, message_id: UUID | None, size: int
) -> Page[tuple[Message]]:
    """`size` messages with the given one in the middle, as far as both sides have enough.

    Raises NotFound when the message is not part of this history.
    """
    within = _history_query(place)
    found = await fetch(session, within.where(col(Message.id) == message_id))
    if not found:
        raise NotFound("There is no such message in this room.")
    middle: Message = found[0][0]
    older = await _neighbours(session, within.where(col(Message.seq) < middle.seq), size, newest_first=True)
    newer = await _neighbours(session, within.where(col(Message.seq) > middle.seq), size, newest_first=False)
    before = min(len(older), max(size // 2, size - 1 - len(newer)))
    after = min(len(newer), size - 1 - before)
    rows = [*reversed(older[:before]), middle, *newer[:after]]
    return Page([(row,) for row in rows], list(map(history_cursor, rows)), len(newer) > after, len(older) > before)


async def _neighbours(
    session: AsyncSession, side: "sa.Select[Message]", size: int, *, newest_first: bool
) -> list[Message]:
    order = col(Message.seq).desc() if newest_first else col(Message.seq).asc()
    return [message for (message,) in await fetch(session, side.order_by(order).limit(size))]


def _history_query(place: Place) -> "sa.Select[Message]":
    """The messages of the room's main history or of one thread. The main history is read along the primary key and
    skips thread replies."""
    root = col(Message.thread_root_id)
    return sa.select(Message).where(
        col(Message.room_id) == place.room_id,
        col(Message.seq) <= place.last_seq,
        root.is_(None) if place.thread_root_id is None else root == place.thread_root_id,
    )


def has_unread(actor: Actor) -> sa.ColumnElement[bool]:
    """A condition on Room, RoomHead and Membership: there are messages after the read position that count as unread: of
    other users, not deleted, not in threads.

    RoomHead's own columns decide for most rooms. For the rest, one look into the index of the room's messages decides.
    """
    unread = (
        sa.exists()
        .where(
            col(Message.room_id) == col(Room.id),
            col(Message.seq) > col(Membership.last_read_seq),
            col(Message.author_id) != actor.user_id,
            col(Message.kind) == MessageKind.USER,
            col(Message.deleted_at).is_(None),
            col(Message.thread_root_id).is_(None),
        )
        .correlate(Room, Membership)
    )
    return sa.and_(col(RoomHead.last_activity_seq) > col(Membership.last_read_seq), unread)


async def messages_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Message]:
    rows = await session.exec(select(Message).where(col(Message.id).in_(ids)))
    return {message.id: message for message in rows}


async def messages_at(
    session: AsyncSession, positions: Collection[tuple[UUID, int]]
) -> dict[tuple[UUID, int], Message]:
    """By (room, seq)."""
    rows = await session.exec(select(Message).where(among((col(Message.room_id), col(Message.seq)), positions)))
    return {(message.room_id, message.seq): message for message in rows}


async def last_messages(session: AsyncSession, room_ids: Collection[UUID]) -> dict[UUID, Message]:
    """By room id: the newest message of the room's main history. Rooms without messages are left out."""
    last = sa.and_(col(Message.room_id) == RoomHead.room_id, col(Message.seq) == RoomHead.last_activity_seq)
    rows = await session.exec(select(Message).join(RoomHead, last).where(col(RoomHead.room_id).in_(room_ids)))
    return {message.room_id: message for message in rows}


async def readable_message(session: AsyncSession, actor: Actor, message_id: UUID | None) -> Message:
    """The message, if the actor can read its room. Otherwise raises NotFound, exactly as for an unknown id."""
    message = (await messages_by_id(session, [message_id])).get(message_id) if message_id else None
    if message is None or not await rooms.readable_rooms(session, actor, [message.room_id]):
        raise NotFound("There is no such message.", path=("input", "messageId"))
    return message


async def may_read(session: AsyncSession, message_id: UUID, user_id: UUID) -> bool:
    """Whether this user can read the message now."""
    message = (await messages_by_id(session, [message_id])).get(message_id)
    return message is not None and user_id in await rooms.users_who_can_read(session, message.room_id, [user_id])


@dataclass(frozen=True, slots=True)
class Revision:
    """What a message said from `edited_at` on."""

    revision: int
    body: str
    edited_at: datetime
    edited_by_id: UUID | None


async def revisions(session: AsyncSession, message: Message, window: Window) -> Page[tuple[int, str, datetime]]:
    """All revisions of the message including the present one, oldest first. A deleted message has none."""
    now = sa.select(
        col(Message.revision),
        col(Message.body),
        func.coalesce(Message.edited_at, Message.created_at).label("edited_at"),
    ).where(col(Message.id) == message.id, col(Message.body).is_not(None))
    before = sa.select(col(FormerBody.revision), col(FormerBody.body), col(FormerBody.edited_at)).where(
        col(FormerBody.message_id) == message.id
    )
    all_revisions = before.union_all(now).subquery()
    return await page(session, "revisions", sa.select(all_revisions), [Key(all_revisions.c.revision)], window)
