"""What an account may look like, who may open one, who may rule over others. Pure: values in, verdict out."""

import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from roomcast.accounts.models import Session, User, UserRole
from roomcast.core.actor import Actor
from roomcast.core.errors import Banned, Conflict, Forbidden, SignupClosed, ValidationFailed
from roomcast.core.text_folding import fold, is_printable

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,30}[A-Za-z0-9]")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]+")

RESERVED = frozenset(
    ["admin", "administrator", "all", "anonymous", "channel", "deleted", "everyone", "here", "me", "moderator"]
    + ["null", "root", "roomcast", "room", "support", "system", "undefined"]
)
"""Names that would read as somebody else: mentions of a whole room, or the house itself."""

_STAFF_NAMES = frozenset(["admin", "administrator", "moderator", "root", "roomcast", "support", "system"])
_STAFF_SKELETONS = frozenset(map(fold, _STAFF_NAMES))
"""Of these also the look-alikes are refused. (Not of all: `Ali` looks like `all`.)"""

FIRST_ADMIN_USERNAME = "admin"
"""The reserved name that the first administrator may have."""

MAX_BIO = 500


class SignupMode(StrEnum):
    OPEN = "OPEN"
    INVITE_ONLY = "INVITE_ONLY"
    CLOSED = "CLOSED"


class SessionEndReason(StrEnum):
    """Why a session is over."""

    SESSION_REVOKED = "SESSION_REVOKED"
    BANNED = "BANNED"


@dataclass(frozen=True, slots=True)
class AccountRules:
    """The operator's choices. `refresh_days`: how long a session lives without being used; `session_days`: how long
    it lives at most. `setup_token`: what the first account of an empty server must present; None where it need not."""

    signup_mode: SignupMode = SignupMode.OPEN
    first_user_is_admin: bool = True
    refresh_days: int = 30
    session_days: int = 180
    setup_token: str | None = None

    def session_end(self, created_at: datetime, used_at: datetime) -> datetime:
        """When a session is over that was last used then."""
        unused, oldest = timedelta(days=self.refresh_days), timedelta(days=self.session_days)
        return min(used_at + unused, created_at + oldest)


# ------------------------------------------------------------------ entering


def check_signup_open(rules: AccountRules, *, invited: bool) -> None:
    """`invited`: somebody brings an invite, which is yet to be looked at."""
    if rules.signup_mode is SignupMode.CLOSED or (rules.signup_mode is SignupMode.INVITE_ONLY and not invited):
        raise SignupClosed("this server takes no new accounts" + _by_invitation(rules))


def _by_invitation(rules: AccountRules) -> str:
    return " without an invitation" if rules.signup_mode is SignupMode.INVITE_ONLY else ""


def check_setup(rules: AccountRules, presented: str | None) -> None:
    """That the person who opens the first account has seen the server's log."""
    wanted, given = rules.setup_token, (presented or "").strip().encode(errors="replace")
    if wanted is not None and not hmac.compare_digest(given, wanted.encode()):
        raise Forbidden(
            "the first account administers this server: give the set-up token that the server logged when it started, "
            "or make the account with `roomcast create-admin`",
            path=("input", "setupToken"),
        )


def check_not_banned(user: User) -> None:
    if user.banned_at is not None:
        raise Banned("this account is banned")


def session_end_reason(session: Session, user: User, moment: datetime) -> SessionEndReason | None:
    """Why the session is over at that moment; None while it lives."""
    if user.banned_at is not None:
        return SessionEndReason.BANNED
    if session.revoked_at is not None or session.expires_at <= moment:
        return SessionEndReason.SESSION_REVOKED
    return None


# ------------------------------------------------------------------ ruling over others


def check_administrator(actor: Actor, administrators: Collection[UUID]) -> None:
    """`administrators`: who is one at this moment, not banned; a token may be older than its person's fall."""
    if actor.user_id not in administrators:
        raise Forbidden("only administrators may do this")


def check_demotion(user_id: UUID, administrators: Collection[UUID]) -> None:
    """Somebody stops being an administrator, by role or by ban: there must be another one."""
    if set(administrators) == {user_id}:
        raise Conflict("the last administrator names another one first", path=("input", "userId"))


def check_role_change(user: User, role: UserRole, administrators: Collection[UUID]) -> None:
    if role is not UserRole.ADMIN:
        check_demotion(user.id, administrators)


# ------------------------------------------------------------------ what an account may look like


def check_username(username: str) -> None:
    """`admin` passes: whether the account may have it depends on whether it is the first one."""
    if not _USERNAME.fullmatch(username):
        raise ValidationFailed(
            "a username has 2 to 32 letters, digits, dots, dashes or underscores and begins and ends with a letter "
            "or digit",
            path=("input", "username"),
        )
    if username.casefold() != FIRST_ADMIN_USERNAME:
        check_not_reserved(username)


def check_not_reserved(username: str) -> None:
    if username.casefold() in RESERVED or fold(username) in _STAFF_SKELETONS:
        raise ValidationFailed("this username is reserved", path=("input", "username"))


def check_email(email: str) -> None:
    if len(email) > 254 or not _EMAIL.fullmatch(email) or not is_printable(email):
        raise ValidationFailed("this is no e-mail address", path=("input", "email"))


def check_display_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= 64 or not is_printable(name):
        raise ValidationFailed("a display name has 1 to 64 printable characters", path=("input", "displayName"))


def check_bio(bio: str) -> None:
    if len(bio) > MAX_BIO or not is_printable(bio, lines=True):
        raise ValidationFailed(f"a bio has at most {MAX_BIO} printable characters", path=("input", "bio"))


def check_device_name(name: str) -> None:
    if len(name) > 100 or not is_printable(name):
        raise ValidationFailed("a device name has at most 100 printable characters", path=("input", "deviceName"))
