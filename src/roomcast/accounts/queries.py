"""Reads of users and sessions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import Session, SessionState, User, UserRecord, UserRole
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.direct_queries import DirectQuery, count, fetch_direct_rows
from roomcast.core.keyed_reads import KeyedRead, is_key, key_parameters, records_by
from roomcast.core.paging import Key, Page, Window, page
from roomcast.core.text_folding import is_printable, search_key


@dataclass(frozen=True, slots=True)
class UserFilter:
    """`query` matches any part of a username or display name, ignoring case and accents; never an e-mail address."""

    query: str | None = None
    role: UserRole | None = None


async def users(session: AsyncSession, actor: Actor, wanted: UserFilter, window: Window) -> Page[tuple[User]]:
    """Users by username. A page reads the index of usernames until it is full."""
    return await page(session, "users", _filtered(wanted), [Key(sa.inspect(User).c.username_key)], window)


async def user_count(session: AsyncSession, actor: Actor, wanted: UserFilter) -> int:
    counted = _filtered(wanted).with_only_columns(func.count(), maintain_column_froms=True)
    return await count(session, counted)


def _filtered(wanted: UserFilter) -> "sa.Select[User]":
    chosen = sa.select(User)
    if wanted.role is not None:
        chosen = chosen.where(col(User.role) == wanted.role)
    if wanted.query is not None:
        key = search_key(wanted.query, "query")
        if not is_printable(wanted.query, lines=True):
            return chosen.where(sa.false())
        chosen = chosen.where(col(User.search_key).contains(key, autoescape=True))
    return chosen


users_by_id: KeyedRead[UUID, User] = records_by(User, UserRecord, "id")


_USERS, _SESSIONS = table(User), table(Session)
_LOGIN_CANDIDATES = (
    sa.select(_USERS.c.id, _USERS.c.password_hash, _SESSIONS.c.ip_address)
    .outerjoin_from(_USERS, _SESSIONS, _SESSIONS.c.user_id == _USERS.c.id)
    .where(sa.or_(_USERS.c.username_key == sa.bindparam("login"), _USERS.c.email_key == sa.bindparam("login")))
    .distinct()
)


@dataclass(frozen=True, slots=True)
class LoginCandidate:
    """An account that matches a login, with one of the addresses that it has signed in from."""

    id: UUID
    password_hash: str
    ip_address: str | None


async def find_login_candidates(session: AsyncSession, username_or_email: str) -> Sequence[LoginCandidate]:
    """The account with this username or e-mail address; empty if there is none.

    One row for each address that it has signed in from, as far back as sessions are stored.
    """
    key = username_or_email.strip().casefold()
    if not is_printable(key):
        return ()
    return await fetch_direct_rows(session, DirectQuery[LoginCandidate](_LOGIN_CANDIDATES, {"login": key}))


async def has_no_users(session: AsyncSession) -> bool:
    """Whether there is no account yet."""
    return (await session.exec(select(User.id).limit(1))).first() is None


# ------------------------------------------------------------------ sessions


_SESSION_STATES = (
    sa.select(
        _SESSIONS.c.id,
        _SESSIONS.c.user_id,
        _SESSIONS.c.expires_at,
        _SESSIONS.c.revoked_at,
        _USERS.c.role,
        _USERS.c.banned_at,
    )
    .join_from(_SESSIONS, _USERS, _USERS.c.id == _SESSIONS.c.user_id)
    .where(is_key([_SESSIONS.c.id]))
)
session_states: KeyedRead[UUID, SessionState] = KeyedRead(
    lambda ids: DirectQuery(_SESSION_STATES, key_parameters(ids)), lambda rows: {row.id: row for row in rows}
)
"""Sessions with the rights of their users, whether or not they have ended. Unknown ids are left out."""


async def sessions_ended_since(session: AsyncSession, moment: datetime) -> Sequence[tuple[UUID, datetime | None]]:
    """Revoked sessions, each with the time of its user's ban. Expired sessions are not included."""
    ended = select(Session.id, User.banned_at).join(User, col(User.id) == Session.user_id)
    return (await session.exec(ended.where(col(Session.revoked_at) > moment))).all()


async def active_sessions(session: AsyncSession, actor: Actor) -> Sequence[Session]:
    """The actor's active sessions, the most recently used first."""
    mine = select(Session).where(
        Session.user_id == actor.user_id, col(Session.revoked_at).is_(None), Session.expires_at > now()
    )
    return (await session.exec(mine.order_by(col(Session.last_seen_at).desc(), col(Session.id).desc()))).all()


async def sessions_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Session]:
    rows = await session.exec(select(Session).where(col(Session.id).in_(ids)))
    return {row.id: row for row in rows}
