"""How long a mute may be, what a report must say, who reads the audit log. Pure: values in, verdict out."""

from datetime import datetime, timedelta

from roomcast.core.actor import Actor
from roomcast.core.audit import check_reason
from roomcast.core.errors import Forbidden, ValidationFailed

MAX_MUTE_SECONDS = 365 * 24 * 60 * 60


def check_mute(seconds: int, at: datetime) -> datetime | None:
    """The end of a mute that begins at that moment; None when it is to be lifted."""
    if not 0 <= seconds <= MAX_MUTE_SECONDS:
        raise ValidationFailed("a mute lasts up to a year; 0 lifts it", path=("input", "seconds"))
    return at + timedelta(seconds=seconds) if seconds else None


def check_report(reason: str) -> str:
    """The reason as it will be stored: a report says what is wrong."""
    told = check_reason(reason)
    if told is None:
        raise ValidationFailed("a report says what is wrong", path=("input", "reason"))
    return told


def check_audit(actor: Actor) -> None:
    if not actor.is_admin:
        raise Forbidden("the audit log is read by administrators")
