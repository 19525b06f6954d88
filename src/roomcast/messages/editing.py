"""Changes to a message that was sent: its words, and its end. Its id, seq, author and time of sending stay for ever."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col

from roomcast.core import audit
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.ids import global_id
from roomcast.messages import mentions, policy, queries, search
from roomcast.messages.events import MessageDeleted, MessageUpdated, MessageUpdateReason
from roomcast.messages.models import FormerBody, Mention, Message, Reaction
from roomcast.rooms.membership_changes import reach_locked as reach_room_locked
from roomcast.rooms.queries import RoomView
from roomcast.uploads.actions import detach_from_message


@dataclass(frozen=True, slots=True)
class MessageChange:
    """A message after a change. `seq` is the position of the event it caused; None when nothing changed."""

    message: Message
    seq: int | None


async def edit_message(
    work: Work, actor: Actor, message_id: UUID | None, body: str, expected_revision: int | None = None
) -> MessageChange:
    """The message says something else; what it said before is kept. The same words again change nothing.

    Announces MessageUpdated. Raises NotFound, Forbidden to others than its author, what sending raises, and Conflict
    when it was deleted or its revision is not the expected one.
    """
    message, view = await reach_locked(work, actor, message_id)
    policy.check_edit(actor, message, view.room, view.membership, now())
    policy.check_body(body, bare=not message.has_attachments)
    policy.check_revision(message, expected_revision)
    if body == message.body:
        return MessageChange(message, None)
    await _rewrite(work, message, body)
    event = MessageUpdated(room_id=message.room_id, at=now(), message_id=message.id, reason=MessageUpdateReason.EDITED)
    return MessageChange(message, (await work.record(event)).seq)


async def delete_message(work: Work, actor: Actor, message_id: UUID | None, reason: str | None = None) -> MessageChange:
    """Only id, seq, author, times and thread of the message are left. Deleting it again changes nothing.

    Announces MessageDeleted; a moderator's deletion of another's message enters the audit trail. Raises NotFound,
    NotAMember, RoomArchived, Forbidden, ValidationFailed.
    """
    told = audit.check_reason(reason)
    message, view = await reach_locked(work, actor, message_id)
    policy.check_delete(actor, message, view.room, view.membership)
    if message.deleted_at is not None:
        return MessageChange(message, None)
    message.deleted_at = now()
    await _erase(work, message)
    if message.author_id != actor.user_id:
        audit.record_audit_entry(work, actor, "MESSAGE_DELETED", global_id("msg", message.id), told, message.room_id)
    event = MessageDeleted(
        room_id=message.room_id,
        at=message.deleted_at,
        message_id=message.id,
        message_seq=message.seq,
        deleted_by_id=actor.user_id,
    )
    return MessageChange(message, (await work.record(event)).seq)


async def reach_locked(work: Work, actor: Actor, message_id: UUID | None) -> tuple[Message, RoomView]:
    """The message and its room, the room's head locked: what is decided on them still holds at the commit."""
    found = await queries.readable_message(work.session, actor, message_id)
    view = await reach_room_locked(work, actor, found.room_id)
    await work.session.refresh(found)  # as it is under the lock
    return found, view


async def _rewrite(work: Work, message: Message, body: str) -> None:
    written_at = message.edited_at or message.created_at
    work.session.add(
        FormerBody(message_id=message.id, revision=message.revision, body=message.body or "", edited_at=written_at)
    )
    message.body, message.edited_at = body, now()
    message.revision += 1
    message.mentions_room = mentions.find_mentions(body).room
    await _forget(work, message, Mention)
    await mentions.store_mentions(work.session, [message])
    await search.reindex_message(work, message)


async def _erase(work: Work, message: Message) -> None:
    message.body = message.pinned_at = None
    message.mentions_room = message.has_attachments = False
    await search.unindex_message(work, message)
    await detach_from_message(work, message.id)
    for table in (FormerBody, Mention, Reaction):
        await _forget(work, message, table)


async def _forget(work: Work, message: Message, table: type[FormerBody | Mention | Reaction]) -> None:
    await work.session.exec(sa.delete(table).where(col(table.message_id) == message.id))
