"""System messages: who joined, left, was added or removed, and what the room is called now. They have no author and are
part of the room's log as all messages are. They mention nobody, are unread for nobody and are not searchable."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from roomcast.accounts import queries as accounts
from roomcast.core.db import Work
from roomcast.core.events import Event
from roomcast.messages.events import MessageCreated
from roomcast.messages.markdown import escape_markdown
from roomcast.messages.models import Message, MessageKind
from roomcast.rooms.events import MemberChange, MemberChanged, RoomChanged

MAX_NAMED = 10
"""Users that one message names. Further users are counted."""


async def post_system_messages(work: Work, events: Sequence[Event]) -> None:
    """A listener of `Work`: posts a message about membership changes and new room names that a user has caused.

    Users who were added together are named in one message. Announces MessageCreated.
    """
    member_events = [event for event in events if isinstance(event, MemberChanged) and event.by_id]
    renames = [event for event in events if isinstance(event, RoomChanged) and event.new_name is not None]
    if member_events:
        body = await _membership_text(work, member_events)
        await _post(work, member_events[0].room_id, member_events[0].at, body)
    for event in renames:
        [by] = await _mention_texts(work, event.by_id)
        body = f"{by} renamed the room to “{escape_markdown(event.new_name or '')}”."
        await _post(work, event.room_id, event.at, body)


async def _post(work: Work, room_id: UUID, at: datetime, body: str) -> None:
    message = Message(room_id=room_id, kind=MessageKind.SYSTEM, body=body, created_at=at)
    event = await work.record(MessageCreated(room_id=room_id, at=at, message_id=message.id, fresh=message))
    message.seq = event.seq
    work.session.add(message)


async def _membership_text(work: Work, events: Sequence[MemberChanged]) -> str:
    """All events come from one action: they have the same room, change and causing user."""
    first, user_ids = events[0], [event.user_id for event in events]
    by, *users = await _mention_texts(work, first.by_id, *user_ids[:MAX_NAMED])
    if first.change is MemberChange.LEFT:
        return f"{by} left."
    if first.change is MemberChange.REMOVED:
        return f"{by} removed {users[0]}."
    if user_ids == [first.by_id]:
        return f"{by} joined."
    rest = len(user_ids) - len(users)
    *others, last = [*users, f"{rest} others" if rest > 1 else "1 other"] if rest else users
    return f"{by} added {', '.join(others)} and {last}." if others else f"{by} added {last}."


async def _mention_texts(work: Work, *user_ids: UUID | None) -> list[str]:
    """`@username` of each user, escaped for Markdown."""
    found = await accounts.users_by_id(work.session, {id_ for id_ in user_ids if id_})
    return ["@" + escape_markdown(found[id_].username) for id_ in user_ids if id_]
