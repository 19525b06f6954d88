"""Changes of what a member has read and follows of a thread. They are private, take no seq and need no lock of the
room."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.direct_queries import count
from roomcast.core.errors import NotFound
from roomcast.messages import policy
from roomcast.messages.models import Message, ThreadState
from roomcast.messages.queries import messages_by_id
from roomcast.messages.thread_states import merge_states, state_row
from roomcast.receipts.events import ThreadStateChanged
from roomcast.rooms import queries as rooms
from roomcast.rooms.models import Membership
from roomcast.rooms.policy import check_member
from roomcast.rooms.read_state import note_thread_change


@dataclass(frozen=True, slots=True)
class OwnThread:
    """The first message of a thread, and the actor's membership in its room."""

    root: Message
    member: Membership


async def mark_thread_read(work: Work, actor: Actor, root_id: UUID | None, up_to_message_id: UUID | None) -> Message:
    """Mark the thread read up to that reply. Never moves back. The first message is allowed, too, and reads nothing.

    Returns the first message. Signals ThreadStateChanged. Raises NotFound, NotAMember, ValidationFailed.
    """
    thread = await _own_thread(work, actor, root_id)
    ids = [up_to_message_id] if up_to_message_id is not None else []
    message = next(iter((await messages_by_id(work.session, ids)).values()), None)
    if message is None or thread.root.id not in (message.id, message.thread_root_id):
        raise NotFound("There is no such message in this thread.", path=("input", "upToMessageId"))
    if message.id == thread.root.id:
        return thread.root
    state = await _lock_state(work, thread)
    if message.seq > state.last_read_seq:
        state.last_read_seq = message.seq
        await _announce(work, thread)
    return thread.root


async def set_thread_following(work: Work, actor: Actor, root_id: UUID | None, *, following: bool) -> Message:
    """Decide for good whether the actor follows the thread. Following begins at its newest reply.

    Returns the first message. Signals ThreadStateChanged. Raises NotFound, NotAMember, ValidationFailed.
    """
    thread = await _own_thread(work, actor, root_id)
    state = await _lock_state(work, thread)
    if state.is_following is not following:
        if following:
            newest = sa.select(sa.func.coalesce(sa.func.max(col(Message.seq)), 0)).where(
                col(Message.thread_root_id) == thread.root.id
            )
            state.follows_after_seq = await count(work.session, newest)
        state.is_following = following
        await _announce(work, thread)
    return thread.root


async def _own_thread(work: Work, actor: Actor, root_id: UUID | None) -> OwnThread:
    """Raises NotFound also for a message that the actor may not read, NotAMember, ValidationFailed for a reply."""
    path = ("input", "threadRootId")
    root = (await messages_by_id(work.session, [root_id])).get(root_id) if root_id is not None else None
    view = (await rooms.readable_rooms(work.session, actor, [root.room_id])).get(root.room_id) if root else None
    if root is None or view is None:
        raise NotFound("There is no such message.", path=path)
    policy.check_thread_root(view.room, root)
    return OwnThread(root, check_member(view.membership))


async def _lock_state(work: Work, thread: OwnThread) -> ThreadState:
    """The actor's state of the thread, created if there is none, locked until the commit."""
    root, user_id = thread.root, thread.member.user_id
    await merge_states(work.session, [state_row(root.id, root.room_id, user_id)])
    own = select(ThreadState).where(ThreadState.root_id == root.id, ThreadState.user_id == user_id)
    return (await work.session.exec(own.with_for_update())).one()


async def _announce(work: Work, thread: OwnThread) -> None:
    await note_thread_change(work, thread.member)
    root, user_id = thread.root, thread.member.user_id
    work.signal(ThreadStateChanged(room_id=root.room_id, at=now(), user_id=user_id, thread_root_id=root.id))
