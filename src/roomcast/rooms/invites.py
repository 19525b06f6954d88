"""Ways into a room for people outside of it. An invite is counted exactly: its room's lock orders its uses."""

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
from roomcast.core.errors import InviteInvalid, NotFound
from roomcast.core.ids import global_id
from roomcast.rooms import policy, queries
from roomcast.rooms.membership_changes import RoomChange, add_memberships, former_members, load_room_locked
from roomcast.rooms.models import Invite, Room, RoomRole
from roomcast.rooms.policy import Right

_CODE = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class ValidInvite:
    """A valid invite and where it leads."""

    invite: Invite
    room: Room


async def create_invite(
    work: Work, actor: Actor, room_id: UUID | None, expires_in_seconds: int | None, max_uses: int | None
) -> Invite:
    """A way into the room, for ever and for everybody where no terms are given.

    Raises NotFound, NotAMember, RoomArchived, Forbidden, ValidationFailed.
    """
    policy.check_invite_terms(expires_in_seconds, max_uses)
    view = await load_room_locked(work, actor, room_id)
    policy.check_right(actor, view.room, view.membership, Right.INVITE)
    made = now()
    invite = Invite(
        code=secrets.token_hex(12),
        room_id=view.room.id,
        created_by_id=actor.user_id,
        created_at=made,
        expires_at=made + timedelta(seconds=expires_in_seconds) if expires_in_seconds is not None else None,
        max_uses=max_uses,
    )
    work.session.add(invite)
    return invite


async def revoke_invite(work: Work, actor: Actor, code: str) -> None:
    """The invite admits nobody any more. Raises NotFound for who cannot read its room, Forbidden."""
    invite = await _by_code(work.session, code)
    if invite is None:
        raise NotFound("no such invite", path=("input", "code"))
    view = await load_room_locked(work, actor, invite.room_id)
    policy.check_revoke_invite(actor, view.room, view.membership, invite)
    if invite.revoked_at is None:
        invite.revoked_at = now()
        audit.record_audit_entry(work, actor, "INVITE_REVOKED", global_id("room", view.room.id), room_id=view.room.id)


async def redeem_invite(work: Work, actor: Actor, code: str, room_id: UUID | None = None) -> RoomChange:
    """The actor becomes a member of the invite's room, and one use is spent; a member's second time changes nothing.

    Where `room_id` is given the invite must lead there. Announces MemberChanged. Raises InviteInvalid, RoomArchived,
    Forbidden for a removed person whom this invite does not bring back.
    """
    found = await valid_invite(work.session, code)
    await event_log.lock_heads(work.session, [found.room.id])
    invite = policy.check_invite(await _by_code(work.session, code), now())
    room = await work.session.get(Room, invite.room_id, populate_existing=True)
    if room is None or room_id not in (None, room.id):
        raise InviteInvalid("this invite leads elsewhere", path=("input", "inviteCode"))
    key = (room.id, actor.user_id)
    if key in await queries.memberships(work.session, [key]):
        return RoomChange(room, None)
    former = await former_members(work, room.id, [actor.user_id])
    before = former.get(actor.user_id)
    inviter = await _inviter(work.session, invite, room) if before is not None and before.removed else None
    policy.check_join(room, before, invite, inviter)
    invite.uses += 1
    role = policy.returning_role(RoomRole.MEMBER, before, None)
    return RoomChange(room, await add_memberships(work, room, {actor.user_id: role}, former, by=actor))


async def valid_invite(session: AsyncSession, code: str) -> ValidInvite:
    """The invite, if it admits now. Raises InviteInvalid."""
    invite = policy.check_invite(await _by_code(session, code), now())
    return ValidInvite(invite, await session.get_one(Room, invite.room_id))


async def revoke_invites_of(work: Work, user_id: UUID | None, room_id: UUID | None = None) -> None:
    """Who may not invite any more, to this room or anywhere, has no invites either."""
    theirs = col(Invite.created_by_id) == user_id
    if room_id is not None:
        theirs = sa.and_(theirs, col(Invite.room_id) == room_id)
    await work.session.exec(sa.update(Invite).where(theirs, col(Invite.revoked_at).is_(None)).values(revoked_at=now()))


async def _inviter(session: AsyncSession, invite: Invite, room: Room) -> RoomRole | None:
    """The standing in the room that the invite's author has now."""
    author = (await accounts.users_by_id(session, [invite.created_by_id])).get(invite.created_by_id)
    found = await queries.memberships(session, [(room.id, invite.created_by_id)])
    membership = found.get((room.id, invite.created_by_id))
    return policy.effective_role_of(room, membership, is_admin=author is not None and author.role == UserRole.ADMIN)


async def _by_code(session: AsyncSession, code: str) -> Invite | None:
    if not _CODE.fullmatch(code):
        return None
    found = select(Invite).where(Invite.code == code).execution_options(populate_existing=True)
    return (await session.exec(found)).first()
