"""Editing and deleting messages. A message's id, seq, author and creation time never change."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col

from roomcast.core import audit
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.ids import global_id
from roomcast.messages import mentions, policy, queries, search, thread_states
from roomcast.messages.events import MessageDeleted, MessageUpdated, MessageUpdateReason
from roomcast.messages.models import FormerBody, Mention, Message, Reaction
from roomcast.rooms.membership_changes import load_room_locked as reach_room_locked
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
    """Replace the body and keep the previous one as a revision. The same body again changes nothing.

    Announces MessageUpdated. Raises NotFound, Forbidden (the actor is not the author), everything that sending raises,
    and Conflict when the message is deleted or its revision is not the expected one.
    """
    message, view = await load_message_locked(work, actor, message_id)
    policy.check_edit(actor, message, view.room, view.membership, now())
    policy.check_body(body, needs_text=not message.has_attachments)
    policy.check_revision(message, expected_revision)
    if body == message.body:
        return MessageChange(message, None)
    written_at = message.edited_at or message.created_at
    work.session.add(
        FormerBody(
            message_id=message.id,
            revision=message.revision,
            body=message.body or "",
            edited_at=written_at,
            room_id=message.room_id,
        )
    )
    message.body, message.edited_at = body, now()
    message.revision += 1
    message.mentions_room = mentions.find_mentions(body).room
    await _delete_rows(work, message, Mention)
    mentioned = await mentions.store_mentions(work.session, [message])
    await thread_states.follow_mentions(work.session, message, mentioned.get(message.id, ()))
    await search.reindex_message(work, message)
    event = MessageUpdated(
        room_id=message.room_id,
        at=now(),
        message_id=message.id,
        thread_root_id=message.thread_root_id,
        reason=MessageUpdateReason.EDITED,
    )
    return MessageChange(message, (await work.record(event)).seq)


async def delete_message(work: Work, actor: Actor, message_id: UUID | None, reason: str | None = None) -> MessageChange:
    """Erase everything but the id, seq, author, times and thread. Deleting a deleted message changes nothing.

    Announces MessageDeleted. When a moderator deletes another person's message, an audit entry is written. Raises
    NotFound, NotAMember, RoomArchived, Forbidden, ValidationFailed.
    """
    checked_reason = audit.check_reason(reason)
    message, view = await load_message_locked(work, actor, message_id)
    policy.check_delete(actor, message, view.room, view.membership)
    if message.deleted_at is not None:
        return MessageChange(message, None)
    message.deleted_at = now()
    await _erase(work, message)
    if message.author_id != actor.user_id:
        audit.record_audit_entry(
            work, actor, "MESSAGE_DELETED", global_id("msg", message.id), checked_reason, message.room_id
        )
    event = MessageDeleted(
        room_id=message.room_id,
        at=message.deleted_at,
        message_id=message.id,
        message_seq=message.seq,
        thread_root_id=message.thread_root_id,
        deleted_by_id=actor.user_id,
    )
    return MessageChange(message, (await work.record(event)).seq)


async def load_message_locked(work: Work, actor: Actor, message_id: UUID | None) -> tuple[Message, RoomView]:
    """The message and its room, with the room's head locked. What is decided on them still holds at the commit."""
    found = await queries.readable_message(work.session, actor, message_id)
    view = await reach_room_locked(work, actor, found.room_id)
    # It was read before the lock, to find the room: another change may have come in between.
    await work.session.refresh(found)
    return found, view


async def _erase(work: Work, message: Message) -> None:
    message.body = message.pinned_at = message.system_event = None
    message.mentions_room = message.has_attachments = False
    await search.unindex_message(work, message)
    await detach_from_message(work, message.id)
    for table in (FormerBody, Mention, Reaction):
        await _delete_rows(work, message, table)


async def _delete_rows(work: Work, message: Message, table: type[FormerBody | Mention | Reaction]) -> None:
    await work.session.exec(sa.delete(table).where(col(table.message_id) == message.id))
