"""Rules for accounts: who may sign up, names, roles, when a session ends. Pure functions."""

import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from roomcast.accounts.models import Session, SessionState, User, UserRole
from roomcast.core.actor import Actor
from roomcast.core.errors import Banned, Conflict, Forbidden, SignupClosed, ValidationFailed
from roomcast.core.text_folding import fold, is_printable

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,30}[A-Za-z0-9]")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]+")

RESERVED = frozenset(
    ["admin", "administrator", "all", "anonymous", "channel", "deleted", "everyone", "here", "me", "moderator"]
    + ["null", "root", "roomcast", "room", "support", "system", "undefined"]
)
"""Usernames that could be mistaken for mentions of a whole room, for staff, or for the server."""

_STAFF_NAMES = frozenset(["admin", "administrator", "moderator", "root", "roomcast", "support", "system"])
_STAFF_SKELETONS = frozenset(map(fold, _STAFF_NAMES))
"""Names that look like these are reserved, too. Not those like any reserved name: `Ali` looks like `all`."""

FIRST_ADMIN_USERNAME = "admin"
"""The reserved name that the first account may have."""

MAX_BIO = 500


class SignupMode(StrEnum):
    OPEN = "OPEN"
    INVITE_ONLY = "INVITE_ONLY"
    CLOSED = "CLOSED"


class SessionEndReason(StrEnum):
    """Why a session has ended."""

    SESSION_REVOKED = "SESSION_REVOKED"
    BANNED = "BANNED"


@dataclass(frozen=True, slots=True)
class AccountRules:
    """The settings for accounts.

    `refresh_days`: how long a session lasts without a refresh. `session_days`: how long it lasts at most.
    `setup_token`: what the first account of an empty server has to present; None if nothing is required.
    """

    signup_mode: SignupMode = SignupMode.OPEN
    first_user_is_admin: bool = True
    refresh_days: int = 30
    session_days: int = 180
    setup_token: str | None = None

    def session_end(self, created_at: datetime, used_at: datetime) -> datetime:
        """When a session ends that was last refreshed at `used_at`."""
        unused, oldest = timedelta(days=self.refresh_days), timedelta(days=self.session_days)
        return min(used_at + unused, created_at + oldest)


# ------------------------------------------------------------------ signing up and in


def check_signup_open(rules: AccountRules, *, invited: bool) -> None:
    """Raises SignupClosed. `invited`: the request has an invite code, which is checked later."""
    if rules.signup_mode is SignupMode.CLOSED or (rules.signup_mode is SignupMode.INVITE_ONLY and not invited):
        exception = " without an invitation" if rules.signup_mode is SignupMode.INVITE_ONLY else ""
        raise SignupClosed(f"This server takes no new accounts{exception}.")


def check_setup(rules: AccountRules, presented: str | None) -> None:
    """Raises Forbidden without the set-up token, which proves that the user can read the server's log."""
    expected, given = rules.setup_token, (presented or "").strip().encode(errors="replace")
    if expected is not None and not hmac.compare_digest(given, expected.encode()):
        raise Forbidden(
            "The first account administers this server: enter the set-up token that the server logged when it started, "
            "or create the account with `roomcast create-admin`.",
            path=("input", "setupToken"),
        )


def check_not_banned(user: User) -> None:
    if user.banned_at is not None:
        raise Banned("This account is banned.")


def session_end_reason(
    session: Session | SessionState, user: User | SessionState, moment: datetime
) -> SessionEndReason | None:
    """Why the session has ended at that moment; None while it is active."""
    if user.banned_at is not None:
        return SessionEndReason.BANNED
    if session.revoked_at is not None or session.expires_at <= moment:
        return SessionEndReason.SESSION_REVOKED
    return None


# ------------------------------------------------------------------ administrators


def check_administrator(actor: Actor, administrators: Collection[UUID]) -> None:
    """Raises Forbidden. `administrators`: those in the database now, because a token may be older than a demotion."""
    if actor.user_id not in administrators:
        raise Forbidden("Only administrators may do this.")


def check_demotion(user_id: UUID, administrators: Collection[UUID]) -> None:
    """Raises Conflict if this user is the last administrator. Applies to bans, too."""
    if set(administrators) == {user_id}:
        raise Conflict("This is the last administrator: appoint another one first.", path=("input", "userId"))


def check_role_change(user: User, role: UserRole, administrators: Collection[UUID]) -> None:
    if role is not UserRole.ADMIN:
        check_demotion(user.id, administrators)


# ------------------------------------------------------------------ names


def check_username(username: str) -> None:
    """Raises ValidationFailed. `admin` passes: `signup` checks whether the account is the first one."""
    if not _USERNAME.fullmatch(username):
        raise ValidationFailed(
            "A username needs 2 to 32 letters, digits, dots, dashes or underscores, and begins and ends with a letter "
            "or digit.",
            path=("input", "username"),
        )
    if username.casefold() != FIRST_ADMIN_USERNAME:
        check_not_reserved(username)


def check_not_reserved(username: str) -> None:
    if username.casefold() in RESERVED or fold(username) in _STAFF_SKELETONS:
        raise ValidationFailed("This username is reserved.", path=("input", "username"))


def check_email(email: str) -> None:
    if len(email) > 254 or not _EMAIL.fullmatch(email) or not is_printable(email):
        raise ValidationFailed("This is not an e-mail address.", path=("input", "email"))


def check_display_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= 64 or not is_printable(name):
        raise ValidationFailed("A display name needs 1 to 64 printable characters.", path=("input", "displayName"))


def check_bio(bio: str) -> None:
    if len(bio) > MAX_BIO or not is_printable(bio, lines=True):
        raise ValidationFailed(f"A bio has at most {MAX_BIO} printable characters.", path=("input", "bio"))


def check_device_name(name: str) -> None:
    if len(name) > 100 or not is_printable(name):
        raise ValidationFailed("A device name has at most 100 printable characters.", path=("input", "deviceName"))
