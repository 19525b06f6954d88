"""What a room itself says: who came, who went, and what it is called now. Messages without an author, in the room's log
as all others are; they call nobody, count as unread for nobody and are found by no search."""

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

NAMED = 10
"""People that one message names; beyond them it counts."""


async def post_system_messages(work: Work, events: Sequence[Event]) -> None:
    """Listens to `Work`: says what somebody has just done to a room or its members, in one message for all who were
    let in at once. Announces MessageCreated."""
    people = [event for event in events if isinstance(event, MemberChanged) and event.by_id]
    names = [event for event in events if isinstance(event, RoomChanged) and event.new_name is not None]
    if people:
        await _say(work, people[0].room_id, people[0].at, await _of_people(work, people))
    for renamed in names:
        await _say(work, renamed.room_id, renamed.at, await _of_name(work, renamed))


async def _say(work: Work, room_id: UUID, at: datetime, body: str) -> None:
    message = Message(room_id=room_id, kind=MessageKind.SYSTEM, body=body, created_at=at)
    event = await work.record(MessageCreated(room_id=room_id, at=at, message_id=message.id, fresh=message))
    message.seq = event.seq
    work.session.add(message)


async def _of_people(work: Work, told: Sequence[MemberChanged]) -> str:
    """One person's deed: all of `told` is by the same one, to the same room."""
    deed, everyone = told[0], [event.user_id for event in told]
    by, *people = await _called(work, deed.by_id, *everyone[:NAMED])
    if deed.change is MemberChange.LEFT:
        return f"{by} left."
    if deed.change is MemberChange.REMOVED:
        return f"{by} removed {people[0]}."
    return f"{by} joined." if everyone == [deed.by_id] else f"{by} added {_listed(people, len(everyone))}."


async def _of_name(work: Work, told: RoomChanged) -> str:
    [by] = await _called(work, told.by_id)
    return f"{by} renamed the room to “{escape_markdown(told.new_name or '')}”."


async def _called(work: Work, *user_ids: UUID | None) -> list[str]:
    """Each as a mention is written."""
    found = await accounts.users_by_id(work.session, {id_ for id_ in user_ids if id_})
    return ["@" + escape_markdown(found[id_].username) for id_ in user_ids if id_]


def _listed(names: Sequence[str], count: int) -> str:
    rest = count - len(names)
    *first, last = [*names, f"{rest} others" if rest > 1 else "1 other"] if rest else names
    return f"{', '.join(first)} and {last}" if first else last
