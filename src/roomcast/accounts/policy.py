"""What an account may look like, who may open one, who may rule over others. Pure: values in, verdict out."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from roomcast.accounts.models import Session, User, UserRole
from roomcast.core.actor import Actor
from roomcast.core.errors import Banned, Conflict, Forbidden, SignupClosed, ValidationFailed
from roomcast.core.names import is_printable

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,31}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]+")

RESERVED = frozenset(
    ["admin", "administrator", "all", "anonymous", "channel", "deleted", "everyone", "here", "me", "moderator"]
    + ["null", "root", "roomcast", "room", "support", "system", "undefined"]
)
"""Names that would read as somebody else: mentions of a whole room, or the house itself."""

MAX_BIO = 500


class SignupMode(StrEnum):
    OPEN = "OPEN"
    INVITE_ONLY = "INVITE_ONLY"
    CLOSED = "CLOSED"


class Ending(StrEnum):
    """Why a session is over."""

    SESSION_REVOKED = "SESSION_REVOKED"
    BANNED = "BANNED"


@dataclass(frozen=True, slots=True)
class AccountRules:
    """The operator's choices. `refresh_days`: how long a session lives without being used."""

    signup_mode: SignupMode = SignupMode.OPEN
    first_user_is_admin: bool = True
    refresh_days: int = 30


# ------------------------------------------------------------------ entering


def check_signup_open(rules: AccountRules, *, invited: bool) -> None:
    """`invited`: somebody brings an invite, which is yet to be looked at."""
    if rules.signup_mode is SignupMode.CLOSED or (rules.signup_mode is SignupMode.INVITE_ONLY and not invited):
        raise SignupClosed("this server takes no new accounts" + _by_invitation(rules))


def _by_invitation(rules: AccountRules) -> str:
    return " without an invitation" if rules.signup_mode is SignupMode.INVITE_ONLY else ""


def check_not_banned(user: User) -> None:
    if user.banned_at is not None:
        raise Banned("this account is banned")


def ending(session: Session, user: User, moment: datetime) -> Ending | None:
    """Why the session is over at that moment; None while it lives."""
    if user.banned_at is not None:
        return Ending.BANNED
    if session.revoked_at is not None or session.expires_at <= moment:
        return Ending.SESSION_REVOKED
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
    if not _USERNAME.fullmatch(username):
        raise ValidationFailed(
            "a username has 2 to 32 letters, digits, dots, dashes or underscores and begins with a letter or digit",
            path=("input", "username"),
        )
    if username.casefold() in RESERVED:
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
