"""Questions about people."""

from collections.abc import Collection
from uuid import UUID

from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import Session, User, UserRole


async def users_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, User]:
    rows = await session.exec(select(User).where(col(User.id).in_(ids)))
    return {user.id: user for user in rows}


async def user_by_login(session: AsyncSession, username_or_email: str) -> User | None:
    """The account behind what somebody typed to sign in."""
    key = username_or_email.strip().casefold()
    return (await session.exec(select(User).where(or_(User.username_key == key, User.email_key == key)))).first()


async def is_empty(session: AsyncSession) -> bool:
    """Whether nobody has signed up yet."""
    return (await session.exec(select(User.id).limit(1))).first() is None


async def session_state(session: AsyncSession, session_id: UUID) -> tuple[Session, User] | None:
    """A session with its person, alive or not; None if there never was one."""
    found = await session.exec(
        select(Session, User).join(User, col(User.id) == Session.user_id).where(Session.id == session_id)
    )
    return found.first()


async def sessions_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Session]:
    rows = await session.exec(select(Session).where(col(Session.id).in_(ids)))
    return {row.id: row for row in rows}


async def admin_count(session: AsyncSession) -> int:
    counted = select(func.count()).where(User.role == UserRole.ADMIN, col(User.banned_at).is_(None))
    return (await session.exec(counted)).one()
