"""What an account may look like and who may open one. Pure: values in, verdict out."""

import re
from dataclasses import dataclass
from enum import StrEnum

from roomcast.core.errors import SignupClosed, ValidationFailed
from roomcast.core.names import is_printable

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,31}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]+")

RESERVED = frozenset(
    ["admin", "administrator", "all", "anonymous", "channel", "deleted", "everyone", "here", "me", "moderator"]
    + ["null", "root", "roomcast", "room", "support", "system", "undefined"]
)
"""Names that would read as somebody else: mentions of a whole room, or the house itself."""


class SignupMode(StrEnum):
    OPEN = "OPEN"
    INVITE_ONLY = "INVITE_ONLY"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class AccountRules:
    """The operator's choices. `refresh_days`: how long a session lives without being used."""

    signup_mode: SignupMode = SignupMode.OPEN
    first_user_is_admin: bool = True
    refresh_days: int = 30


def check_signup_open(rules: AccountRules, *, invited: bool) -> None:
    """`invited`: somebody brings an invite, which is yet to be looked at."""
    if rules.signup_mode is SignupMode.CLOSED or (rules.signup_mode is SignupMode.INVITE_ONLY and not invited):
        raise SignupClosed("this server takes no new accounts" + _by_invitation(rules))


def _by_invitation(rules: AccountRules) -> str:
    return " without an invitation" if rules.signup_mode is SignupMode.INVITE_ONLY else ""


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


def check_device_name(name: str) -> None:
    if len(name) > 100 or not is_printable(name):
        raise ValidationFailed("a device name has at most 100 printable characters", path=("input", "deviceName"))
