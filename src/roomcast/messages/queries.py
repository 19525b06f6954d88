"""Reads of messages. For history, the caller has checked that the actor can read the room."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.direct_queries import DirectQuery, DirectRead, read_direct
from roomcast.core.errors import NotFound
from roomcast.core.event_log import RoomHead
from roomcast.core.keyed_reads import KeyedRead, is_key, key_parameters, records_by
from roomcast.core.paging import Key, Page, PagedList, Window, page, write_cursor
from roomcast.core.records import record_columns
from roomcast.messages.models import FormerBody, Message, MessageKind, MessageRecord
from roomcast.rooms import queries as rooms
from roomcast.rooms.models import Membership, Room

_PAGE_NAME = "messages"
_KEYS = [Key(sa.inspect(Message).c.seq)]


EVERY_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """The messages of a room up to `last_seq`: those of its main history, or of one of its threads. EVERY_SEQ: all
    messages that the snapshot has."""

    room_id: UUID
    last_seq: int
    thread_root_id: UUID | None = None

    @property
    def form(self) -> "tuple[bool, bool]":
        """Whether it is a thread, and whether it has an upper bound."""
        return self.thread_root_id is not None, self.last_seq != EVERY_SEQ

    @property
    def parameters(self) -> dict[str, Any]:
        of_thread, is_bounded = self.form
        given: dict[str, Any] = {"room_id": self.room_id}
        given |= {"thread_root_id": self.thread_root_id} if of_thread else {}
        return given | ({"last_seq": self.last_seq} if is_bounded else {})


def _messages_of(of_thread: bool, is_bounded: bool) -> "sa.Select[*tuple[Any, ...]]":
    """The messages of a place of this form. The main history is read along the primary key and skips thread replies.

    SQLite searches by one of several upper bounds, perhaps by the wrong one: in a room with a million messages, a page
    in the middle would take 28 ms. So there is none where the snapshot itself is the bound.
    """
    root = col(Message.thread_root_id)
    found = sa.select(*record_columns(MessageRecord, Message)).where(
        col(Message.room_id) == sa.bindparam("room_id"),
        root == sa.bindparam("thread_root_id") if of_thread else root.is_(None),
    )
    return found.where(col(Message.seq) <= sa.bindparam("last_seq")) if is_bounded else found


_FORMS = list(product((False, True), repeat=2))
_LISTS = {form: PagedList(_PAGE_NAME, _messages_of(*form), _KEYS, (MessageRecord,)) for form in _FORMS}


def history_read(place: Place, window: Window) -> DirectRead[Page[tuple[Message]]]:
    """A read of a page of the room's main history, or of the replies in one of its threads, oldest first."""
    return _LISTS[place.form].page(window, place.parameters)


def history_cursor(message: Message) -> str:
    """The cursor of the message in the pages of `history_read` and `around_read`."""
    return write_cursor(_PAGE_NAME, (message.seq,))


def _around(within: "sa.Select[*tuple[Any, ...]]") -> "list[sa.Select[*tuple[Any, ...]]]":
    """The message with an id, and its older and newer neighbours, the nearest first."""
    middle = within.where(col(Message.id) == sa.bindparam("message_id"))
    seq = middle.with_only_columns(col(Message.seq)).scalar_subquery()
    size = sa.bindparam("size", type_=sa.Integer)
    older = within.where(col(Message.seq) < seq).order_by(col(Message.seq).desc()).limit(size)
    newer = within.where(col(Message.seq) > seq).order_by(col(Message.seq)).limit(size)
    return [middle, older, newer]


_AROUND = {form: _around(_messages_of(*form)) for form in _FORMS}


def around_read(place: Place, message_id: UUID | None, size: int) -> DirectRead[Page[tuple[Message]]]:
    """A read of `size` messages with the given one in the middle, as far as both sides have enough.

    It raises NotFound when the message is not part of this history.
    """
    statements = _AROUND[place.form]
    parameters = {**place.parameters, "message_id": message_id, "size": size}
    middle, *sides = [DirectQuery[Message](statement, parameters, MessageRecord) for statement in statements]

    def finish(found: Sequence[Message], older: Sequence[Message], newer: Sequence[Message]) -> Page[tuple[Message]]:
        if not found:
            raise NotFound("There is no such message in this room.")
        before = min(len(older), max(size // 2, size - 1 - len(newer)))
        after = min(len(newer), size - 1 - before)
        rows = [*reversed(older[:before]), *found, *newer[:after]]
        return Page([(row,) for row in rows], list(map(history_cursor, rows)), len(newer) > after, len(older) > before)

    return DirectRead([middle, *sides], finish)


HAS_UNREAD = sa.and_(
    col(RoomHead.last_activity_seq) > col(Membership.last_read_seq),
    sa.exists()
    .where(
        col(Message.room_id) == col(Room.id),
        col(Message.seq) > col(Membership.last_read_seq),
        col(Message.author_id) != rooms.ACTOR,
        col(Message.kind) == MessageKind.USER,
        col(Message.deleted_at).is_(None),
        col(Message.thread_root_id).is_(None),
    )
    .correlate(Room, Membership),
)
"""A condition on Room, RoomHead and Membership: there are messages after the read position that count as unread: of
other users, not deleted, not in threads.

RoomHead's own columns decide for most rooms. For the rest, one look into the index of the room's messages decides."""


messages_by_id: KeyedRead[UUID, Message] = records_by(Message, MessageRecord, "id")
messages_at: KeyedRead[tuple[UUID, int], Message] = records_by(Message, MessageRecord, "room_id", "seq")
"""By (room, seq)."""

_LAST_MESSAGES = (
    sa.select(*record_columns(MessageRecord, Message))
    .join(RoomHead, sa.and_(col(Message.room_id) == RoomHead.room_id, col(Message.seq) == RoomHead.last_activity_seq))
    .where(is_key([col(RoomHead.room_id)]))
)
last_messages: KeyedRead[UUID, Message] = KeyedRead(
    lambda room_ids: DirectQuery(_LAST_MESSAGES, key_parameters(room_ids), MessageRecord),
    lambda rows: {message.room_id: message for message in rows},
)
"""By room id: the newest message of the room's main history. Rooms without messages are left out."""


async def readable_message(session: AsyncSession, actor: Actor, message_id: UUID | None) -> Message:
    """The message as a model, which can be changed, if the actor can read its room. Otherwise raises NotFound, exactly
    as for an unknown id."""
    message = (await session.exec(select(Message).where(Message.id == message_id))).first() if message_id else None
    if message is None or not await rooms.readable_rooms(session, actor, [message.room_id]):
        raise NotFound("There is no such message.", path=("input", "messageId"))
    return message


async def readable_record(session: AsyncSession, actor: Actor, message_id: UUID | None) -> Message:
    """As `readable_message`, as a record."""
    message = (await messages_by_id(session, [message_id])).get(message_id) if message_id else None
    if message is None or not await read_direct(session, rooms.rooms_read(actor, [message.room_id])):
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
