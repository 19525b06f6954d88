"""Joining, leaving, adding, removing, roles and mutes. Each change is recorded in the room's event log."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from roomcast.core import audit
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id
from roomcast.rooms import policy, queries
from roomcast.rooms.events import MemberChange
from roomcast.rooms.invites import revoke_invites_of
from roomcast.rooms.membership_changes import (
    RoomChange,
    add_memberships,
    existing_user_ids,
    former_members,
    load_room_locked,
    member_changed_event,
    remove_membership,
)
from roomcast.rooms.models import Membership, RoomRole
from roomcast.rooms.policy import RANK
from roomcast.rooms.queries import RoomView


async def join_room(work: Work, actor: Actor, room_id: UUID | None) -> RoomChange:
    """Join a public room. Joining again changes nothing. Announces MemberChanged.

    Raises NotFound, RoomArchived, Forbidden.
    """
    view = await load_room_locked(work, actor, room_id)
    if view.membership is not None:
        return RoomChange(view.room, None)
    former = await former_members(work, view.room.id, [actor.user_id])
    former_member = former.get(actor.user_id)
    policy.check_join(view.room, former_member)
    role = policy.returning_role(RoomRole.MEMBER, former_member, None)
    return await add_memberships(work, view.room, {actor.user_id: role}, former, by=actor)


async def leave_room(work: Work, actor: Actor, room_id: UUID | None) -> RoomChange:
    """Leave the room. The actor's invites to it are revoked. Announces MemberChanged.

    Raises NotFound, NotAMember, Conflict (the last owner), Forbidden.
    """
    view = await load_room_locked(work, actor, room_id)
    owners = await queries.owner_count(work.session, view.room.id)
    member = policy.check_leave(view.room, view.membership, owners)
    await revoke_invites_of(work, member.user_id, view.room.id)
    return RoomChange(view.room, await remove_membership(work, actor, view.room, member, MemberChange.LEFT))


async def add_members(
    work: Work, actor: Actor, room_id: UUID | None, user_ids: Sequence[UUID | None], role: RoomRole
) -> RoomChange:
    """Add these users. Existing members keep their role. Announces MemberChanged for each new member.

    Raises NotFound, NotAMember, RoomArchived, Forbidden, ValidationFailed.
    """
    view = await load_room_locked(work, actor, room_id)
    own_role = policy.check_add(actor, view.room, view.membership, role)
    ids = await existing_user_ids(work, user_ids, "userIds")
    present = await queries.memberships(work.session, [(view.room.id, user_id) for user_id in ids])
    new = [user_id for user_id in ids if (view.room.id, user_id) not in present]
    if not new:
        return RoomChange(view.room, None)
    former = await former_members(work, view.room.id, new)
    roles = {user_id: policy.returning_role(role, former.get(user_id), own_role) for user_id in new}
    return await add_memberships(work, view.room, roles, former, by=actor)


async def remove_member(
    work: Work, actor: Actor, room_id: UUID | None, user_id: UUID | None, reason: str | None
) -> RoomChange:
    """Remove this member. They can return only by being added or invited, and their invites are revoked.

    Removing a user who is not a member changes nothing. Announces MemberChanged. Raises NotFound, NotAMember,
    Forbidden, Conflict (the last owner).
    """
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, policy.Right.MANAGE_MEMBERS)
    member = await _find_member(work, view, user_id)
    if member is None:
        return RoomChange(view.room, None)
    owners = await queries.owner_count(work.session, view.room.id)
    policy.check_remove(actor, view.room, view.membership, member, owners)
    _record_audit(work, actor, "MEMBER_REMOVED", member, reason)
    await revoke_invites_of(work, member.user_id, view.room.id)
    return RoomChange(view.room, await remove_membership(work, actor, view.room, member, MemberChange.REMOVED))


async def set_member_role(
    work: Work, actor: Actor, room_id: UUID | None, user_id: UUID | None, role: RoomRole
) -> RoomChange:
    """Change the role of a member. Becoming a moderator or owner lifts a mute. Announces MemberChanged.

    Raises NotFound, NotAMember, Forbidden, Conflict (the last owner).
    """
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, policy.Right.SET_ROLES)
    member = _require_member(await _find_member(work, view, user_id))
    if member.role == role:
        return RoomChange(view.room, None, [member])
    owners = await queries.owner_count(work.session, view.room.id)
    policy.check_set_role(actor, view.room, view.membership, member, owners)
    member.role = role
    if RANK[role] >= RANK[RoomRole.MODERATOR]:
        member.muted_until = None
    if role == RoomRole.READ_ONLY:
        await revoke_invites_of(work, member.user_id, view.room.id)
    _record_audit(work, actor, "MEMBER_ROLE_CHANGED", member, None)
    event = member_changed_event(member, MemberChange.ROLE_CHANGED, now())
    return RoomChange(view.room, (await work.record(event)).seq, [member])


async def mute_member(
    work: Work, actor: Actor, room_id: UUID | None, user_id: UUID | None, until: datetime | None, reason: str | None
) -> RoomChange:
    """Mute this member until then; None lifts the mute. Without a change nothing is announced.

    Announces MemberChanged. Raises NotFound, NotAMember, Forbidden.
    """
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, policy.Right.MANAGE_MEMBERS)
    member = _require_member(await _find_member(work, view, user_id))
    policy.check_outranks(actor, view.room, view.membership, member)
    if member.muted_until == until:
        return RoomChange(view.room, None, [member])
    member.muted_until = until
    change = MemberChange.UNMUTED if until is None else MemberChange.MUTED
    _record_audit(work, actor, f"MEMBER_{change}", member, reason)
    return RoomChange(view.room, (await work.record(member_changed_event(member, change, now()))).seq, [member])


async def _find_member(work: Work, view: RoomView, user_id: UUID | None) -> Membership | None:
    if user_id is None:
        return None
    found = await queries.memberships(work.session, [(view.room.id, user_id)])
    return found.get((view.room.id, user_id))


def _require_member(member: Membership | None) -> Membership:
    if member is None:
        raise NotFound("This user is not a member of the room.", path=("input", "userId"))
    return member


def _record_audit(work: Work, actor: Actor, action: str, member: Membership, reason: str | None) -> None:
    audit.record_audit_entry(work, actor, action, global_id("user", member.user_id), reason, member.room_id)
