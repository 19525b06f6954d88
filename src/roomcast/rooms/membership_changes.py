"""Adding and removing memberships, under the lock of the room's head. All changes of members are built from these."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel import col, select

from roomcast.accounts import queries as accounts
from roomcast.core import event_log
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import NotFound, ValidationFailed
from roomcast.rooms import policy, queries
from roomcast.rooms.events import MemberChange, MemberChanged
from roomcast.rooms.models import FormerMember, Membership, Room, RoomRole
from roomcast.rooms.queries import RoomView


@dataclass(frozen=True, slots=True)
class RoomChange:
    """A room after a change. `seq` is the position of the last event it caused; None when nothing changed.

    `members`: the memberships that the change was about, as they are now.
    """

    room: Room
    seq: int | None
    members: Sequence[Membership] = ()


async def load_room_locked(work: Work, actor: Actor, room_id: UUID | None) -> RoomView:
    """As `queries.readable_room`, with the room's head locked first. What is decided on this view still holds at the
    commit."""
    if room_id is None or not await event_log.lock_heads(work.session, [room_id]):
        raise NotFound("There is no such room.")
    return await queries.readable_room(work.session, actor, room_id)


async def existing_user_ids(work: Work, ids: Sequence[UUID | None], argument: str) -> list[UUID]:
    """These ids, each once, sorted. All must be users who are not banned. Raises NotFound, ValidationFailed."""
    if len(ids) > policy.MAX_USERS_AT_ONCE:
        raise ValidationFailed(
            f"At most {policy.MAX_USERS_AT_ONCE} users can be added at once.", path=("input", argument)
        )
    unique_ids = {id_ for id_ in ids if id_ is not None}
    found = await accounts.users_by_id(work.session, unique_ids)
    if None in ids or len([user for user in found.values() if user.banned_at is None]) != len(unique_ids):
        raise NotFound("There is no such user.", path=("input", argument))
    return sorted(unique_ids)


async def former_members(work: Work, room_id: UUID, user_ids: Collection[UUID]) -> dict[UUID, FormerMember]:
    """By user id: the former memberships of these users in the room."""
    rows = await work.session.exec(
        select(FormerMember).where(FormerMember.room_id == room_id, col(FormerMember.user_id).in_(user_ids))
    )
    return {row.user_id: row for row in rows}


async def add_memberships(
    work: Work,
    room: Room,
    roles: Mapping[UUID, RoomRole],
    former: Mapping[UUID, FormerMember] | None = None,
    by: Actor | None = None,
) -> RoomChange:
    """Add these members with everything read, and with the mute and send time they left with. Announces MemberChanged
    for each.

    `by`: whom the system message names as the one who added them; None for the first members of a room.
    """
    [head] = (await event_log.lock_heads(work.session, [room.id])).values()
    joined_at = now()
    members = [
        Membership(room_id=room.id, user_id=user_id, role=role, joined_at=joined_at) for user_id, role in roles.items()
    ]
    for member in members:
        if former and (former_member := former.get(member.user_id)):
            member.muted_until, member.last_sent_at = former_member.muted_until, former_member.last_sent_at
            await work.session.delete(former_member)
    room.member_count += len(members)
    recorded = await work.record_all(
        [member_changed_event(member, MemberChange.JOINED, joined_at, by) for member in members]
    )
    # After the events were recorded: they have moved the head, and new members have read their own joining.
    for member in members:
        member.last_read_seq = member.threads_read_seq = head.last_seq
    work.session.add_all(members)
    return RoomChange(room, recorded[-1].seq, members)


async def remove_membership(work: Work, actor: Actor, room: Room, member: Membership, change: MemberChange) -> int:
    """End the membership and keep what moderators decided about it in FormerMember. Announces MemberChanged. Returns
    the seq."""
    removed, at = change is MemberChange.REMOVED, now()
    work.session.add(
        FormerMember(
            room_id=room.id,
            user_id=member.user_id,
            role=member.role,
            removed=removed,
            removed_at=at if removed else None,
            muted_until=member.muted_until,
            last_sent_at=member.last_sent_at,
        )
    )
    await work.session.delete(member)
    room.member_count -= 1
    event = MemberChanged(room_id=room.id, at=at, user_id=member.user_id, change=change, by_id=actor.user_id)
    return (await work.record(event)).seq


def member_changed_event(
    member: Membership, change: MemberChange, at: datetime, by: Actor | None = None
) -> MemberChanged:
    """The event that describes the membership as it is now."""
    return MemberChanged(
        room_id=member.room_id,
        at=at,
        user_id=member.user_id,
        change=change,
        role=member.role,
        muted_until=member.muted_until,
        by_id=by.user_id if by else None,
    )
