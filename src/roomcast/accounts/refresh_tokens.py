"""Refresh token rotation: each use returns a successor, and reuse of a spent token ends the session.

A token is `<id>.<secret>`; the database stores a hash of the secret. A token is valid until its successor has been
presented. The secret of the successor is derived from the token's own, so that presenting a token twice within
`REUSE_LEEWAY` returns the same successor: two tabs that refresh at once get the same token. A token that is presented
again later than that gets another successor, which replaces the first. So a lost response does not cost the session,
and a thief and the owner cannot both continue: the second of them presents a replaced or spent token, which ends the
session.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts import policy
from roomcast.accounts.models import RefreshToken, Session, User
from roomcast.accounts.policy import AccountRules
from roomcast.accounts.tokens import Tokens
from roomcast.core import audit
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.db import Work
from roomcast.core.direct_queries import execute_direct, fetch
from roomcast.core.errors import InvalidCredentials, RefreshTokenReused, SessionRevoked
from roomcast.core.ids import global_id, uuid7

REUSE_LEEWAY = timedelta(minutes=2)
"""How long presenting a token again returns the same successor. Background tabs refresh up to a minute late, because
browsers run their timers once a minute."""

SPENT_TOKEN_RETENTION = timedelta(days=7)
"""How long reuse of a spent token is detected. Later, the token is only invalid."""

ENDED_SESSION_RETENTION = timedelta(days=30)
"""How long ended sessions are stored: they hold the addresses that a user signs in from."""

DELETE_BATCH = 1000
"""Rows that one statement deletes, so that other writes do not wait for long."""


_INSERT_TOKEN = sa.insert(table(RefreshToken))


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: User
    session: Session
    refresh_token: str
    refresh_token_expires_at: datetime


@dataclass(frozen=True, slots=True)
class ReusedRefreshToken:
    """A spent token was presented, so its session has been ended."""

    session_id: UUID
    error: RefreshTokenReused


async def issue_first_token(session: AsyncSession, user: User, opened: Session) -> SignedIn:
    """Start the chain of a new session."""
    id_, secret = uuid7(), secrets.token_hex(32)
    token = {"id": id_, "session_id": opened.id, "secret_hash": _hash(secret)}
    await execute_direct(
        session, _INSERT_TOKEN, [{**token, "created_at": opened.created_at, "expires_at": opened.expires_at}]
    )
    return SignedIn(user, opened, f"{id_.hex}.{secret}", opened.expires_at)


async def restart_chain(work: Work, user: User, session_id: UUID) -> SignedIn:
    """Start a new chain for this session and delete all its refresh tokens."""
    locked = select(Session).where(Session.id == session_id).with_for_update()
    session = (await work.session.exec(locked.execution_options(populate_existing=True))).one()
    await work.session.exec(sa.delete(RefreshToken).where(col(RefreshToken.session_id) == session_id))
    return await issue_first_token(work.session, user, session)


async def refresh_session(
    work: Work, presented: str, tokens: Tokens, rules: AccountRules
) -> SignedIn | ReusedRefreshToken:
    """Exchange a refresh token for its successor. The token stays valid until the successor is presented.

    Presenting a spent or replaced token ends its session, because somebody else has a copy. The reuse is returned, not
    raised, because the end of the session has to be committed. Raises InvalidCredentials, SessionRevoked, Banned.
    """
    token, secret, session, user = await _lock_presented(work.session, presented)
    moment = now()
    policy.check_not_banned(user)
    is_over = policy.session_end_reason(session, user, moment) is not None or token.expires_at <= moment
    if is_over or rules.session_end(session.created_at, moment) <= moment:
        raise SessionRevoked("This session has ended; sign in again.")
    successor = (await work.session.exec(select(RefreshToken).where(col(RefreshToken.parent_id) == token.id))).first()
    if token.replaced_at is not None or (successor is not None and successor.presented_at is not None):
        return _end_session_after_reuse(work, session)
    token.presented_at = token.presented_at or now()
    if successor is None:
        successor = _create_successor(token)
    elif now() - successor.created_at > REUSE_LEEWAY:
        successor = await _replace_successor(work.session, token, successor)
    session.last_seen_at = now()
    session.expires_at = successor.expires_at = rules.session_end(session.created_at, session.last_seen_at)
    next_secret = _successor_secret(secret, successor, tokens)
    successor.secret_hash = _hash(next_secret)
    work.session.add(successor)
    await work.session.flush()
    return SignedIn(user, session, f"{successor.id.hex}.{next_secret}", successor.expires_at)


def _end_session_after_reuse(work: Work, session: Session) -> ReusedRefreshToken:
    session.revoked_at = now()
    audit.record_audit_entry(
        work, None, "REFRESH_TOKEN_REUSED", global_id("user", session.user_id), "the session was ended"
    )
    return ReusedRefreshToken(
        session.id, RefreshTokenReused("This refresh token was used before; the session has been ended.")
    )


def _successor_secret(secret: str, successor: RefreshToken, tokens: Tokens) -> str:
    """The secret of the successor. If it was issued before the keys were rotated, the key of that time is found."""
    candidates = tokens.successor_secrets(f"{successor.id.hex}.{secret}")
    return next((made for made in candidates if _hash(made) == successor.secret_hash), candidates[0])


def _create_successor(token: RefreshToken) -> RefreshToken:
    created_at = now()
    return RefreshToken(
        session_id=token.session_id, parent_id=token.id, secret_hash="", created_at=created_at, expires_at=created_at
    )


async def _replace_successor(session: AsyncSession, token: RefreshToken, former: RefreshToken) -> RefreshToken:
    """Create another successor of the token. From now on, presenting the former one ends the session."""
    former.replaced_at, former.parent_id = now(), None  # parent_id is unique
    await session.flush()
    return _create_successor(token)


async def _lock_presented(session: AsyncSession, presented: str) -> tuple[RefreshToken, str, Session, User]:
    """The row of a refresh token, its secret, its session and user. The session is locked, so that two refreshes of one
    session run one after the other. Raises InvalidCredentials if there is no such token or the secret does not match.
    """
    identity, _, secret = presented.partition(".")
    try:
        token = await session.get(RefreshToken, UUID(hex=identity))
    except ValueError:
        token = None
    if token is None or not hmac.compare_digest(token.secret_hash, _hash(secret)):
        raise _invalid_token()
    locked = select(Session).where(Session.id == token.session_id).with_for_update()
    found = (await session.exec(locked.execution_options(populate_existing=True))).one()
    user = await session.get_one(User, found.user_id)
    # Read again under the lock: another refresh or a new chain may have replaced the token.
    current = await session.get(RefreshToken, token.id, populate_existing=True)
    if current is None:
        raise _invalid_token()
    return current, secret, found, user


def _invalid_token() -> InvalidCredentials:
    return InvalidCredentials("This refresh token is not valid.", path=("input", "refreshToken"))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


# ------------------------------------------------------------------ cleanup


async def delete_expired(work: Work, moment: datetime) -> bool:
    """Delete tokens that have expired or were spent long ago, and sessions that ended long ago, with their tokens.

    Returns whether there may be more of them.
    """
    child, kept_until = sa.orm.aliased(RefreshToken), moment - ENDED_SESSION_RETENTION
    replaced = select(RefreshToken.id).where(col(RefreshToken.replaced_at) <= moment - SPENT_TOKEN_RETENTION)
    spent = select(RefreshToken.id).join(child, col(child.parent_id) == RefreshToken.id)
    return any(
        [
            await _delete_batch(work, RefreshToken, select(RefreshToken.id).where(RefreshToken.expires_at <= moment)),
            await _delete_batch(work, RefreshToken, replaced),
            await _delete_batch(
                work, RefreshToken, spent.where(col(child.presented_at) <= moment - SPENT_TOKEN_RETENTION)
            ),
            await _delete_batch(work, Session, select(Session.id).where(Session.expires_at <= kept_until)),
            await _delete_batch(work, Session, select(Session.id).where(col(Session.revoked_at) <= kept_until)),
        ]
    )


async def _delete_batch(work: Work, table: type[RefreshToken] | type[Session], which: "sa.Select[UUID]") -> bool:
    chosen = sa.delete(table).where(col(table.id).in_(which.limit(DELETE_BATCH)))
    return len(await fetch(work.session, chosen.returning(sa.inspect(table).c.id))) == DELETE_BATCH
