"""Pinned messages."""

from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.paging import Key, Page, Window, page
from roomcast.messages import policy
from roomcast.messages.editing import MessageChange, load_message_locked
from roomcast.messages.events import MessageUpdated, MessageUpdateReason
from roomcast.messages.models import Message
from roomcast.messages.queries import Place


async def pin_message(work: Work, actor: Actor, message_id: UUID | None) -> MessageChange:
    """Pin the message. Announces MessageUpdated. Pinning it again changes nothing.

    Raises NotFound, NotAMember, RoomArchived, Forbidden, and Conflict when the message is deleted.
    """
    message, view = await load_message_locked(work, actor, message_id)
    policy.check_pin(actor, message, view.room, view.membership)
    if message.pinned_at is not None:
        return MessageChange(message, None)
    message.pinned_at = now()
    return await _announce(work, message, MessageUpdateReason.PINNED)


async def unpin_message(work: Work, actor: Actor, message_id: UUID | None) -> MessageChange:
    """Unpin the message. Announces MessageUpdated. Raises as `pin_message`."""
    message, view = await load_message_locked(work, actor, message_id)
    policy.check_pin(actor, message, view.room, view.membership)
    if message.pinned_at is None:
        return MessageChange(message, None)
    message.pinned_at = None
    return await _announce(work, message, MessageUpdateReason.UNPINNED)


async def _announce(work: Work, message: Message, reason: MessageUpdateReason) -> MessageChange:
    event = MessageUpdated(room_id=message.room_id, at=now(), message_id=message.id, reason=reason)
    return MessageChange(message, (await work.record(event)).seq)


async def pinned_messages(session: AsyncSession, place: Place, window: Window) -> Page[tuple[Message]]:
    """The pinned messages of a room, newest pin first. The caller has checked that the actor can read the room."""
    found = sa.select(Message).where(
        col(Message.room_id) == place.room_id, col(Message.seq) <= place.last_seq, col(Message.pinned_at).is_not(None)
    )
    columns = sa.inspect(Message).c
    return await page(
        session, "pinned", found, [Key(columns.pinned_at, descending=True), Key(columns.seq, descending=True)], window
    )
