"""Refresh tokens: a session's chain, each link good until its successor is presented, and every copy of it fatal after.

`<id>.<secret>` outside, a hash inside. A successor's secret is derived from the one before it, so that asking twice
within `REPEATABLE` gives the same answer: two tabs that renew at once both hold the one successor. A token that is
presented again later than that gets another successor, which replaces the first: an answer that was lost costs nobody
the session, and a thief and the owner of one token cannot go on side by side, since whichever of them comes second with
a replaced or spent token ends the session.
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
"""How long a token is answered with the successor it has. Tabs in the background renew up to a minute late, because
browsers run their timers once a minute."""

SPENT_TOKEN_RETENTION = timedelta(days=7)
"""How long a copy of a spent token is recognised. After that it is merely not valid."""

ENDED_SESSION_RETENTION = timedelta(days=30)
"""How long ended sessions are kept: they know from where their person signs in."""

DELETE_BATCH = 1000
"""Rows of a kind that one sweep removes: writers do not wait for long."""


_INSERT_TOKEN = sa.insert(table(RefreshToken))


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: User
    session: Session
    refresh_token: str
    refresh_token_expires_at: datetime


@dataclass(frozen=True, slots=True)
class ReusedRefreshToken:
    """A spent token was presented, so that its session has been ended."""

    session_id: UUID
    error: RefreshTokenReused


async def issue_first_token(session: AsyncSession, user: User, opened: Session) -> SignedIn:
    """The beginning of a new session's chain."""
    id_, secret = uuid7(), secrets.token_hex(32)
    token = {"id": id_, "session_id": opened.id, "secret_hash": _hash(secret)}
    await execute_direct(
        session, _INSERT_TOKEN, [{**token, "created_at": opened.created_at, "expires_at": opened.expires_at}]
    )
    return SignedIn(user, opened, f"{id_.hex}.{secret}", opened.expires_at)


async def restart_chain(work: Work, user: User, session_id: UUID) -> SignedIn:
    """A new chain for this session: every refresh token that it had is worth nothing from now on."""
    locked = select(Session).where(Session.id == session_id).with_for_update()
    session = (await work.session.exec(locked.execution_options(populate_existing=True))).one()
    await work.session.exec(sa.delete(RefreshToken).where(col(RefreshToken.session_id) == session_id))
    return await issue_first_token(work.session, user, session)


async def refresh_session(
    work: Work, presented: str, tokens: Tokens, rules: AccountRules
) -> SignedIn | ReusedRefreshToken:
    """Exchange a refresh token for its successor. The token itself stays good until that successor is presented.

    Presenting a spent or replaced token ends its session: somebody holds a copy. That is answered, not raised, because
    it must be committed. Raises InvalidCredentials, SessionRevoked, Banned.
    """
    token, secret = await _find_presented(work.session, presented)
    session, user = await _lock_session(work.session, token)
    token = await _reload(work.session, token)
    _check_alive(session, user, token, rules)
    successor = await _successor_of(work.session, token)
    if token.replaced_at is not None or (successor is not None and successor.presented_at is not None):
        return _end_session_after_reuse(work, session)
    token.presented_at = token.presented_at or now()
    if successor is None:
        successor = _create_successor(token)
    elif now() - successor.created_at > REUSE_LEEWAY:
        successor = await _replace_successor(work.session, token, successor)
    return await _rotate(work.session, (session, user), successor, _successor_secret(secret, successor, tokens), rules)


def _check_alive(session: Session, user: User, token: RefreshToken, rules: AccountRules) -> None:
    moment = now()
    policy.check_not_banned(user)
    is_over = policy.session_end_reason(session, user, moment) is not None or token.expires_at <= moment
    if is_over or rules.session_end(session.created_at, moment) <= moment:
        raise SessionRevoked("this session has ended; sign in again")


def _end_session_after_reuse(work: Work, session: Session) -> ReusedRefreshToken:
    session.revoked_at = now()
    audit.record_audit_entry(
        work, None, "REFRESH_TOKEN_REUSED", global_id("user", session.user_id), "the session was ended"
    )
    return ReusedRefreshToken(
        session.id, RefreshTokenReused("this refresh token was used before; the session has been ended")
    )


def _successor_secret(secret: str, successor: RefreshToken, tokens: Tokens) -> str:
    """The successor's secret. One that was handed out before stays what it is, though the keys have been rotated."""
    candidates = tokens.successor_secrets(f"{successor.id.hex}.{secret}")
    return next((made for made in candidates if _hash(made) == successor.secret_hash), candidates[0])


async def _rotate(
    session: AsyncSession, family: tuple[Session, User], successor: RefreshToken, secret: str, rules: AccountRules
) -> SignedIn:
    signed_in, user = family
    signed_in.last_seen_at = now()
    signed_in.expires_at = successor.expires_at = rules.session_end(signed_in.created_at, signed_in.last_seen_at)
    successor.secret_hash = _hash(secret)
    session.add(successor)
    await session.flush()
    return SignedIn(user, signed_in, f"{successor.id.hex}.{secret}", successor.expires_at)


def _create_successor(token: RefreshToken) -> RefreshToken:
    made = now()
    return RefreshToken(
        session_id=token.session_id, parent_id=token.id, secret_hash="", created_at=made, expires_at=made
    )


async def _replace_successor(session: AsyncSession, token: RefreshToken, former: RefreshToken) -> RefreshToken:
    """A new successor of the token. The former one is fatal from now on."""
    former.replaced_at, former.parent_id = now(), None  # two rows with one parent are refused by the database
    await session.flush()
    return _create_successor(token)


async def _find_presented(session: AsyncSession, presented: str) -> tuple[RefreshToken, str]:
    """The row of a refresh token and its secret. The secret is compared before anything is believed."""
    identity, _, secret = presented.partition(".")
    try:
        token = await session.get(RefreshToken, UUID(hex=identity))
    except ValueError:
        token = None
    if token is None or not hmac.compare_digest(token.secret_hash, _hash(secret)):
        raise _invalid_token()
    return token, secret


async def _reload(session: AsyncSession, token: RefreshToken) -> RefreshToken:
    """The token as it is now that its session is locked: another renewal may have replaced it, or a new chain."""
    found = await session.get(RefreshToken, token.id, populate_existing=True)
    if found is None:
        raise _invalid_token()
    return found


def _invalid_token() -> InvalidCredentials:
    return InvalidCredentials("this refresh token is not valid", path=("input", "refreshToken"))


async def _lock_session(session: AsyncSession, token: RefreshToken) -> tuple[Session, User]:
    """The token's session, locked: two renewals of one session follow each other."""
    locked = select(Session).where(Session.id == token.session_id).with_for_update()
    found = (await session.exec(locked.execution_options(populate_existing=True))).one()
    user = await session.get_one(User, found.user_id)
    return found, user


async def _successor_of(session: AsyncSession, token: RefreshToken) -> RefreshToken | None:
    return (await session.exec(select(RefreshToken).where(col(RefreshToken.parent_id) == token.id))).first()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


# ------------------------------------------------------------------ sweeping


async def delete_expired(work: Work, moment: datetime) -> bool:
    """Forget tokens that have expired or were spent long ago, and sessions that ended long ago, with their tokens.

    Whether there may be more of them.
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
