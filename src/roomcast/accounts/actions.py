"""Changes to people and their sessions."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts import policy, queries
from roomcast.accounts.models import RefreshToken, Session, User, UserRole
from roomcast.accounts.policy import AccountRules
from roomcast.accounts.tokens import Tokens
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.errors import (
    Banned,
    EmailTaken,
    InvalidCredentials,
    RefreshTokenReused,
    SessionRevoked,
    UsernameTaken,
)
from roomcast.core.log import Store


@dataclass(frozen=True, slots=True)
class Device:
    """Where somebody signs in from."""

    name: str | None = None
    ip_address: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: User
    session: Session
    refresh_token: str
    refresh_token_expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewAccount:
    username: str
    password_hash: str
    email: str | None = None
    display_name: str | None = None


def check_account(username: str, email: str | None, display_name: str | None) -> None:
    """Raises ValidationFailed for what no account may be called."""
    policy.check_username(username)
    if email is not None:
        policy.check_email(email)
    if display_name is not None:
        policy.check_display_name(display_name)


async def signup(work: Work, account: NewAccount, device: Device, rules: AccountRules) -> SignedIn:
    """A new account, signed in. The first of an empty server becomes ADMIN where the rules say so.

    Raises UsernameTaken, EmailTaken.
    """
    role = UserRole.ADMIN if rules.first_user_is_admin and await _is_first(work.session) else UserRole.MEMBER
    user = await create_user(work, account, role)
    return await open_session(work, user, device, rules)


async def create_user(work: Work, account: NewAccount, role: UserRole) -> User:
    """Raises UsernameTaken, EmailTaken."""
    user = User(
        username=account.username,
        username_key=account.username.casefold(),
        display_name=(account.display_name or account.username).strip(),
        email=account.email,
        email_key=account.email.casefold() if account.email else None,
        password_hash=account.password_hash,
        role=role,
        created_at=now(),
    )
    try:
        async with work.session.begin_nested():
            work.session.add(user)
    except IntegrityError:
        raise await _taken(work.session, user) from None
    return user


async def _is_first(session: AsyncSession) -> bool:
    if not await queries.is_empty(session):
        return False
    # Two people who sign up at once on an empty server: the second waits here and then sees the first.
    await session.exec(select(Store).with_for_update())
    return await queries.is_empty(session)


async def _taken(session: AsyncSession, user: User) -> UsernameTaken | EmailTaken:
    same_name = await session.exec(select(User.id).where(User.username_key == user.username_key))
    if same_name.first() is not None:
        return UsernameTaken("this username is taken", path=("input", "username"))
    return EmailTaken("this e-mail address belongs to another account", path=("input", "email"))


async def login(work: Work, user_id: UUID, newer_hash: str | None, device: Device, rules: AccountRules) -> SignedIn:
    """A session for somebody whose password was right; an outdated hash gives way to `newer_hash`. Raises Banned."""
    user = await work.session.get_one(User, user_id)
    if newer_hash is not None:
        user.password_hash = newer_hash
    return await open_session(work, user, device, rules)


async def open_session(work: Work, user: User, device: Device, rules: AccountRules) -> SignedIn:
    """A session with its first refresh token. Raises Banned."""
    if user.banned_at is not None:
        raise Banned("this account is banned")
    started = now()
    expires = started + timedelta(days=rules.refresh_days)
    session = Session(
        user_id=user.id,
        device_name=device.name,
        ip_address=device.ip_address,
        created_at=started,
        last_seen_at=started,
        expires_at=expires,
    )
    work.session.add(session)
    await work.session.flush()
    secret = secrets.token_hex(32)
    token = RefreshToken(session_id=session.id, secret_hash=_hash(secret), created_at=started, expires_at=expires)
    work.session.add(token)
    await work.session.flush()
    return SignedIn(user, session, f"{token.id.hex}.{secret}", expires)


async def refresh_session(
    work: Work, presented: str, tokens: Tokens, rules: AccountRules
) -> SignedIn | RefreshTokenReused:
    """Exchange a refresh token for its successor. The token itself stays good until that successor is presented.

    Presenting a spent token ends its session: somebody holds a copy. That is answered, not raised, because it must
    be committed. Raises InvalidCredentials, SessionRevoked, Banned.
    """
    token, secret = await _presented(work.session, presented)
    session, user = await _family(work.session, token)
    if user.banned_at is not None:
        raise Banned("this account is banned")
    if session.revoked_at is not None or token.expires_at <= now():
        raise SessionRevoked("this session has ended; sign in again")
    successor = await _successor_of(work.session, token)
    if successor is not None and successor.presented_at is not None:
        session.revoked_at = now()
        return RefreshTokenReused("this refresh token was used before; the session has been ended")
    token.presented_at = token.presented_at or now()
    return await _renew(
        work.session, (session, user), successor or _link(token), tokens.successor_secret(secret), rules
    )


async def _renew(
    session: AsyncSession, family: tuple[Session, User], successor: RefreshToken, secret: str, rules: AccountRules
) -> SignedIn:
    signed_in, user = family
    signed_in.last_seen_at = now()
    signed_in.expires_at = successor.expires_at = now() + timedelta(days=rules.refresh_days)
    successor.secret_hash = _hash(secret)
    session.add(successor)
    await session.flush()
    return SignedIn(user, signed_in, f"{successor.id.hex}.{secret}", successor.expires_at)


def _link(token: RefreshToken) -> RefreshToken:
    made = now()
    return RefreshToken(
        session_id=token.session_id, parent_id=token.id, secret_hash="", created_at=made, expires_at=made
    )


async def _presented(session: AsyncSession, presented: str) -> tuple[RefreshToken, str]:
    """The row of a refresh token and its secret. The secret is compared before anything is believed."""
    identity, _, secret = presented.partition(".")
    try:
        token = await session.get(RefreshToken, UUID(hex=identity))
    except ValueError:
        token = None
    if token is None or not hmac.compare_digest(token.secret_hash, _hash(secret)):
        raise InvalidCredentials("this refresh token is not valid", path=("input", "refreshToken"))
    return token, secret


async def _family(session: AsyncSession, token: RefreshToken) -> tuple[Session, User]:
    """The token's session, locked: two renewals of one session follow each other."""
    locked = select(Session).where(Session.id == token.session_id).with_for_update()
    found = (await session.exec(locked.execution_options(populate_existing=True))).one()
    user = await session.get_one(User, found.user_id)
    return found, user


async def _successor_of(session: AsyncSession, token: RefreshToken) -> RefreshToken | None:
    return (await session.exec(select(RefreshToken).where(col(RefreshToken.parent_id) == token.id))).first()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
