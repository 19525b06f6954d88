"""Invites: codes with which users join a room. The lock of the room's head orders the uses, so that `max_uses` is
exact."""

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts import queries as accounts
from roomcast.accounts.models import UserRole
from roomcast.core import audit, event_log
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id
from roomcast.core.paging import Key, Page, Window, page
from roomcast.rooms import policy, queries
from roomcast.rooms.membership_changes import RoomChange, add_memberships, former_members, load_room_locked
from roomcast.rooms.models import Invite, Room, RoomRole
from roomcast.rooms.policy import Right

_CODE = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class ValidInvite:
    """A valid invite and its room."""

    invite: Invite
    room: Room


async def create_invite(
    work: Work, actor: Actor, room_id: UUID | None, expires_in_seconds: int | None, max_uses: int | None
) -> Invite:
    """Create an invite. Without terms it does not expire and has no limit of uses.

    Raises NotFound, NotAMember, RoomArchived, Forbidden, ValidationFailed.
    """
    policy.check_invite_terms(expires_in_seconds, max_uses)
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.INVITE)
    created_at = now()
    invite = Invite(
        code=secrets.token_hex(12),
        room_id=view.room.id,
        created_by_id=actor.user_id,
        created_at=created_at,
        expires_at=created_at + timedelta(seconds=expires_in_seconds) if expires_in_seconds is not None else None,
        max_uses=max_uses,
    )
    work.session.add(invite)
    return invite


async def revoke_invite(work: Work, actor: Actor, code: str) -> Invite:
    """Make the invite invalid. Returns it. Raises NotFound (also when the actor cannot read its room), Forbidden."""
    invite = await _invite_by_code(work.session, code)
    if invite is None:
        raise NotFound("There is no such invite.", path=("input", "code"))
    view = await load_room_locked(work, actor, invite.room_id)
    policy.check_revoke_invite(actor, view.room, view.membership, invite)
    if invite.revoked_at is None:
        invite.revoked_at = now()
        audit.record_audit_entry(work, actor, "INVITE_REVOKED", global_id("room", view.room.id), room_id=view.room.id)
    return invite


async def redeem_invite(work: Work, actor: Actor, code: str) -> RoomChange:
    """Join the invite's room and spend one use. A member who redeems an invite changes nothing.

    Announces MemberChanged. Raises InviteInvalid, RoomArchived, Forbidden (a removed member whom this invite does not
    readmit).
    """
    found = await valid_invite(work.session, code)
    await event_log.lock_heads(work.session, [found.room.id])
    # Read again under the lock: a concurrent request may have taken the last use or revoked the invite.
    invite = policy.check_invite(await _invite_by_code(work.session, code), now())
    room = await work.session.get_one(Room, invite.room_id, populate_existing=True)
    key = (room.id, actor.user_id)
    if key in await queries.memberships(work.session, [key]):
        return RoomChange(room, None)
    former = await former_members(work, room.id, [actor.user_id])
    former_member = former.get(actor.user_id)
    was_removed = former_member is not None and former_member.removed
    inviter = await _inviter_role(work.session, invite, room) if was_removed else None
    policy.check_join(room, former_member, invite, inviter)
    invite.uses += 1
    role = policy.returning_role(RoomRole.MEMBER, former_member, None)
    return await add_memberships(work, room, {actor.user_id: role}, former, by=actor)


async def valid_invite(session: AsyncSession, code: str) -> ValidInvite:
    """The invite with this code and its room. Raises InviteInvalid."""
    invite = policy.check_invite(await _invite_by_code(session, code), now())
    return ValidInvite(invite, await session.get_one(Room, invite.room_id))


async def readable_invite(session: AsyncSession, actor: Actor, code: str) -> Invite:
    """The invite, whether or not it is valid, for its creator and for the moderators of its room. Raises NotFound."""
    invite = await _invite_by_code(session, code)
    if invite is None:
        raise NotFound("There is no such invite.", path=("input", "code"))
    view = await queries.readable_room(session, actor, invite.room_id)
    if not policy.may_read_invite(actor, view.room, view.membership, invite):
        raise NotFound("There is no such invite.", path=("input", "code"))
    return invite


async def invites_of_room(session: AsyncSession, room_id: UUID, window: Window) -> Page[tuple[Invite]]:
    """All invites to the room, also those that are not valid any more, the newest first. The caller has checked that
    the actor may see them."""
    columns = sa.inspect(Invite).c
    newest_first = [Key(columns.created_at, descending=True), Key(columns.code, descending=True)]
    return await page(session, "invites", sa.select(Invite).where(col(Invite.room_id) == room_id), newest_first, window)


async def revoke_invites_of(work: Work, user_id: UUID | None, room_id: UUID | None = None) -> None:
    """Revoke the invites that this user created, in this room or in all rooms. Called when they may not invite any
    more."""
    condition = col(Invite.created_by_id) == user_id
    if room_id is not None:
        condition = sa.and_(condition, col(Invite.room_id) == room_id)
    await work.session.exec(
        sa.update(Invite).where(condition, col(Invite.revoked_at).is_(None)).values(revoked_at=now())
    )


async def _inviter_role(session: AsyncSession, invite: Invite, room: Room) -> RoomRole | None:
    """The effective role in the room that the invite's creator has now."""
    author = (await accounts.users_by_id(session, [invite.created_by_id])).get(invite.created_by_id)
    found = await queries.memberships(session, [(room.id, invite.created_by_id)])
    membership = found.get((room.id, invite.created_by_id))
    return policy.effective_role_of(room, membership, is_admin=author is not None and author.role == UserRole.ADMIN)


async def _invite_by_code(session: AsyncSession, code: str) -> Invite | None:
    if not _CODE.fullmatch(code):
        return None
    found = select(Invite).where(Invite.code == code).execution_options(populate_existing=True)
    return (await session.exec(found)).first()
