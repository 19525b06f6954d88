"""Changes of administrators to other accounts. Each change writes an audit entry; a call without effect does not."""

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts import policy
from roomcast.accounts.actions import end_sessions, lock_user
from roomcast.accounts.models import Session, User, UserRole
from roomcast.core import audit
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id


async def set_user_role(work: Work, actor: Actor, user_id: UUID | None, role: UserRole) -> User:
    """Raises Forbidden, NotFound, Conflict for the last administrator."""
    administrators = await _lock_administrators(work.session)
    policy.check_administrator(actor, administrators)
    user = await _lock_user(work.session, user_id)
    if user.role == role:
        return user
    policy.check_role_change(user, role, administrators)
    audit.record_audit_entry(work, actor, "USER_ROLE_CHANGED", global_id("user", user.id), f"{user.role} to {role}")
    user.role = role
    return user


async def ban_user(work: Work, actor: Actor, user_id: UUID | None, reason: str | None) -> tuple[User, Collection[UUID]]:
    """Ban an account and end all its sessions. Returns the user and the ids of the sessions.

    Raises Forbidden, NotFound, Conflict for the last administrator, ValidationFailed.
    """
    administrators = await _lock_administrators(work.session)
    policy.check_administrator(actor, administrators)
    checked_reason, user = audit.check_reason(reason), await _lock_user(work.session, user_id)
    if user.banned_at is not None:
        return user, []
    policy.check_demotion(user.id, administrators)
    user.banned_at = now()
    audit.record_audit_entry(work, actor, "USER_BANNED", global_id("user", user.id), checked_reason)
    return user, await end_sessions(work, col(Session.user_id) == user.id)


async def unban_user(work: Work, actor: Actor, user_id: UUID | None) -> User:
    """Allow the account to sign in again. Raises Forbidden, NotFound."""
    policy.check_administrator(actor, await _lock_administrators(work.session))
    user = await _lock_user(work.session, user_id)
    if user.banned_at is not None:
        user.banned_at = None
        audit.record_audit_entry(work, actor, "USER_UNBANNED", global_id("user", user.id))
    return user


async def reset_password(work: Work, username: str, new_hash: str) -> Collection[UUID]:
    """Set a password from the command line and end all sessions of the user. Raises NotFound."""
    wanted = select(User.id).where(User.username_key == username.casefold())
    user = await _lock_user(work.session, (await work.session.exec(wanted)).first())
    user.password_hash = new_hash
    audit.record_audit_entry(work, None, "PASSWORD_RESET", global_id("user", user.id), "from the command line")
    return await end_sessions(work, col(Session.user_id) == user.id)


async def _lock_administrators(session: AsyncSession) -> set[UUID]:
    """The ids of all administrators, who are locked in id order.

    Two administrators who demote each other at once wait for each other here, so that one of them remains.
    """
    is_administrator = sa.and_(col(User.role) == UserRole.ADMIN, col(User.banned_at).is_(None))
    wanted = select(User).where(is_administrator).order_by(col(User.id)).with_for_update(key_share=True)
    return {user.id for user in await session.exec(wanted.execution_options(populate_existing=True))}


async def _lock_user(session: AsyncSession, user_id: UUID | None) -> User:
    if user_id is None or await session.get(User, user_id) is None:
        raise NotFound("There is no such user.", path=("input", "userId"))
    return await lock_user(session, user_id)
