"""System messages: who joined, left, was added or removed, and what the room is called now. They have no author and are
part of the room's log as all messages are. They mention nobody, are unread for nobody and are not searchable."""

from collections.abc import Sequence
from uuid import UUID

from roomcast.accounts import queries as accounts
from roomcast.core.db import Work
from roomcast.core.events import Event
from roomcast.messages.events import MessageCreated
from roomcast.messages.markdown import escape_markdown
from roomcast.messages.models import Message, MessageKind
from roomcast.messages.system_events import SystemEvent, SystemEventKind
from roomcast.rooms.events import MemberChange, MemberChanged, RoomChanged

MAX_NAMED = 10
"""Users that the sentence of one message names. Further users are counted."""

_KINDS = {
    MemberChange.JOINED: SystemEventKind.MEMBERS_ADDED,
    MemberChange.LEFT: SystemEventKind.MEMBER_LEFT,
    MemberChange.REMOVED: SystemEventKind.MEMBER_REMOVED,
}


async def post_system_messages(work: Work, events: Sequence[Event]) -> None:
    """A listener of `Work`: posts a message about membership changes and new room names that a user has caused.

    Users who were added together are named in one message. Announces MessageCreated.
    """
    member_events = [event for event in events if isinstance(event, MemberChanged) and event.by_id]
    if member_events and (by_id := member_events[0].by_id):
        await _post(work, member_events[0], _membership_event(by_id, member_events))
    for event in events:
        if isinstance(event, RoomChanged) and event.new_name is not None and event.by_id:
            renamed = SystemEvent(SystemEventKind.ROOM_RENAMED, event.by_id, (), event.previous_name, event.new_name)
            await _post(work, event, renamed)


def _membership_event(by_id: UUID, events: Sequence[MemberChanged]) -> SystemEvent:
    """All events come from one action: they have the same room, change and causing user."""
    user_ids = [event.user_id for event in events]
    has_joined = events[0].change is MemberChange.JOINED and user_ids == [by_id]
    kind = SystemEventKind.MEMBERS_JOINED if has_joined else _KINDS[events[0].change]
    return SystemEvent(kind, by_id, user_ids)


async def _post(work: Work, cause: Event, reported: SystemEvent) -> None:
    room_id, at = cause.room_id, cause.at
    message = Message(
        room_id=room_id,
        kind=MessageKind.SYSTEM,
        body=await _sentence(work, reported),
        system_event=reported.encode(),
        created_at=at,
    )
    event = await work.record(MessageCreated(room_id=room_id, at=at, message_id=message.id, fresh=message))
    message.seq = event.seq
    work.session.add(message)


async def _sentence(work: Work, reported: SystemEvent) -> str:
    """The event in English, with the display names as they are now."""
    named_ids = reported.user_ids[:MAX_NAMED]
    found = await accounts.users_by_id(work.session, {reported.actor_id, *named_ids})
    by, *users = [escape_markdown(found[id_].display_name) for id_ in (reported.actor_id, *named_ids)]
    match reported.kind:
        case SystemEventKind.MEMBERS_JOINED:
            return f"{by} joined."
        case SystemEventKind.MEMBERS_ADDED:
            return f"{by} added {_enumerate(users, len(reported.user_ids) - len(users))}."
        case SystemEventKind.MEMBER_LEFT:
            return f"{by} left."
        case SystemEventKind.MEMBER_REMOVED:
            return f"{by} removed {users[0]}."
        case SystemEventKind.ROOM_RENAMED:
            return f"{by} renamed the room to “{escape_markdown(reported.name or '')}”."


def _enumerate(names: Sequence[str], rest: int) -> str:
    """`A, B and C`, with the number of those who are not named."""
    *others, last = [*names, f"{rest} others" if rest > 1 else "1 other"] if rest else names
    return f"{', '.join(others)} and {last}" if others else last
