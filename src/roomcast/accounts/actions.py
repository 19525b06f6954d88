"""Changes of users to their own accounts: sign-up, login, logout, passwords, profiles."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts import policy, queries
from roomcast.accounts.credentials import VerifiedPassword
from roomcast.accounts.models import Session, User, UserRole, UserRow
from roomcast.accounts.policy import AccountRules
from roomcast.accounts.refresh_tokens import SignedIn, issue_first_token, restart_chain
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.db import Work
from roomcast.core.direct_queries import DirectQuery, as_dict, execute_direct, fetch, fetch_direct_rows
from roomcast.core.errors import EmailTaken, NotFound, UsernameTaken
from roomcast.core.event_log import Store
from roomcast.core.ids import local_id
from roomcast.core.text_folding import fold, search_form
from roomcast.core.unchanged import UNCHANGED, Unchanged
from roomcast.uploads import actions as files

_USERS = table(User)
_LOCK_USER = sa.select(_USERS).where(_USERS.c.id == sa.bindparam("user")).with_for_update(key_share=True)
_UPDATE_HASH = (
    sa.update(_USERS).where(_USERS.c.id == sa.bindparam("user")).values({"password_hash": sa.bindparam("hash")})
)
_INSERT_SESSION = sa.insert(table(Session))


@dataclass(frozen=True, slots=True)
class Device:
    """The device of a new session."""

    name: str | None = None
    ip_address: str | None = None


@dataclass(frozen=True, slots=True)
class NewAccount:
    username: str
    password_hash: str
    email: str | None = None
    display_name: str | None = None
    setup_token: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """Changes to a profile. None clears a field; the display name becomes the username. `avatar`: a global file id."""

    display_name: str | None | Unchanged = UNCHANGED
    bio: str | None | Unchanged = UNCHANGED
    email: str | None | Unchanged = UNCHANGED
    avatar: str | None | Unchanged = UNCHANGED


# ------------------------------------------------------------------ sign-up


def check_account(username: str, email: str | None, display_name: str | None) -> None:
    """Raises ValidationFailed for an invalid or reserved name or e-mail address."""
    policy.check_username(username)
    if email is not None:
        policy.check_email(email)
    if display_name is not None:
        policy.check_display_name(display_name)


async def signup(work: Work, account: NewAccount, device: Device, rules: AccountRules) -> SignedIn:
    """Create an account and a session. If the rules say so, the first account of a server becomes ADMIN.

    Raises UsernameTaken, EmailTaken, ValidationFailed if a later account is named `admin`, Forbidden if the first
    account comes without the set-up token.
    """
    is_first = rules.first_user_is_admin and await queries.has_no_users(work.session)
    if is_first:
        # If two users sign up on an empty server at once, the second waits for this lock and then sees the first.
        await work.session.exec(select(Store).with_for_update())
        is_first = await queries.has_no_users(work.session)
    if is_first:
        policy.check_setup(rules, account.setup_token)
        user = await create_user(work, account, UserRole.ADMIN)
    else:
        policy.check_not_reserved(account.username)
        user = await create_user(work, account, UserRole.MEMBER)
    return await open_session(work, user, device, rules)


async def create_user(work: Work, account: NewAccount, role: UserRole) -> User:
    """Raises UsernameTaken, EmailTaken."""
    display_name = (account.display_name or account.username).strip()
    user = User(
        username=account.username,
        username_key=account.username.casefold(),
        username_skeleton=fold(account.username),
        display_name=display_name,
        email=account.email,
        email_key=_email_key(account.email),
        search_key=_search_key(account.username, display_name),
        password_hash=account.password_hash,
        role=role,
        created_at=now(),
    )
    try:
        async with work.session.begin_nested():
            work.session.add(user)
    except IntegrityError:
        key, skeleton = account.username.casefold(), fold(account.username)
        is_similar = sa.or_(col(User.username_key) == key, col(User.username_skeleton) == skeleton)
        if (await work.session.exec(select(User.id).where(is_similar))).first() is None:
            raise _email_taken() from None
        message = "This username, or one that looks like it, is taken."
        raise UsernameTaken(message, path=("input", "username")) from None
    return user


def _email_taken() -> EmailTaken:
    return EmailTaken("Another account uses this e-mail address.", path=("input", "email"))


def _email_key(email: str | None) -> str | None:
    return email.casefold() if email else None


def _search_key(username: str, display_name: str) -> str:
    return f"{search_form(username)}\n{search_form(display_name)}"


# ------------------------------------------------------------------ sessions


async def login(work: Work, proof: VerifiedPassword, device: Device, rules: AccountRules) -> SignedIn | None:
    """Create a session after the password was verified, and store a newer hash where the old one is outdated.

    None if the password was changed after it was verified: the caller has to verify it again. Raises Banned.
    """
    [found] = await fetch_direct_rows(work.session, DirectQuery[UserRow](_LOCK_USER, {"user": proof.user_id}))
    if found.password_hash != proof.verified_hash:
        return None
    if proof.newer_hash is not None:
        await execute_direct(work.session, _UPDATE_HASH, [{"user": found.id, "hash": proof.newer_hash}])
    return await open_session(work, User(**as_dict(found)), device, rules)


async def open_session(work: Work, user: User, device: Device, rules: AccountRules) -> SignedIn:
    """Create a session with its first refresh token. Raises Banned."""
    policy.check_not_banned(user)
    started = now()
    session = Session(
        user_id=user.id,
        device_name=device.name,
        ip_address=device.ip_address,
        created_at=started,
        last_seen_at=started,
        expires_at=rules.session_end(started, started),
    )
    await execute_direct(work.session, _INSERT_SESSION, [session.model_dump()])
    return await issue_first_token(work.session, user, session)


async def logout(work: Work, actor: Actor) -> Collection[UUID]:
    """End the actor's session. Returns the ids of the sessions that ended, as all functions here that end sessions."""
    return await end_sessions(work, col(Session.id) == actor.session_id)


async def revoke_session(work: Work, actor: Actor, session_id: UUID | None) -> tuple[Session, Collection[UUID]]:
    """End one of the actor's sessions. Does nothing if it has already ended. Also returns it. Raises NotFound."""
    found = await work.session.get(Session, session_id) if session_id else None
    if found is None or found.user_id != actor.user_id:
        raise NotFound("There is no such session.", path=("input", "sessionId"))
    return found, await end_sessions(work, col(Session.id) == found.id)


async def change_password(
    work: Work, actor: Actor, proof: VerifiedPassword, new_hash: str
) -> tuple[Collection[UUID], SignedIn] | None:
    """Replace the password and end all other sessions of the actor.

    The actor's own session gets a new chain of refresh tokens, so that copies of its old tokens are worthless. Returns
    the ids of the ended sessions and the new tokens; None if the password was changed after it was verified.
    """
    user = await lock_user(work.session, actor.user_id)
    if user.password_hash != proof.verified_hash:
        return None
    user.password_hash = new_hash
    others = sa.and_(col(Session.user_id) == user.id, col(Session.id) != actor.session_id)
    return await end_sessions(work, others), await restart_chain(work, user, actor.session_id)


async def end_sessions(work: Work, which: ColumnElement[bool]) -> Collection[UUID]:
    """End the sessions that match and have not ended yet."""
    active = sa.update(Session).where(which, col(Session.revoked_at).is_(None))
    rows = await fetch(work.session, active.values(revoked_at=now()).returning(sa.inspect(Session).c.id))
    return [session_id for (session_id,) in rows]


# ------------------------------------------------------------------ profiles


async def update_profile(work: Work, actor: Actor, profile: Profile) -> User:
    """Change the fields that are named. Raises ValidationFailed, EmailTaken, and the errors of `files.set_avatar`."""
    check_profile(profile)
    user = await lock_user(work.session, actor.user_id)
    if not isinstance(profile.display_name, Unchanged):
        user.display_name = (profile.display_name or user.username).strip()
        user.search_key = _search_key(user.username, user.display_name)
    if not isinstance(profile.bio, Unchanged):
        user.bio = (profile.bio or "").strip() or None
    if not isinstance(profile.email, Unchanged):
        user.email, user.email_key = profile.email or None, _email_key(profile.email)
    if not isinstance(profile.avatar, Unchanged):
        if profile.avatar is not None:
            user.avatar_id = await files.set_avatar(work, actor, local_id("file", profile.avatar), user.avatar_id)
        else:
            await files.clear_avatar(work, user.avatar_id)
            user.avatar_id = None
    try:
        await work.session.flush()
    except IntegrityError:
        raise _email_taken() from None
    return user


def check_profile(profile: Profile) -> None:
    """Raises ValidationFailed."""
    if isinstance(profile.display_name, str):
        policy.check_display_name(profile.display_name)
    if isinstance(profile.bio, str):
        policy.check_bio(profile.bio)
    if isinstance(profile.email, str) and profile.email:
        policy.check_email(profile.email)


async def lock_user(session: AsyncSession, user_id: UUID) -> User:
    """Load and lock the user until the commit. The lock delays changes to the row, but not new references to it."""
    wanted = select(User).where(User.id == user_id).with_for_update(key_share=True)
    return (await session.exec(wanted.execution_options(populate_existing=True))).one()
