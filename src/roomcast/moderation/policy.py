"""Limits of mutes and reports, and who may read the audit log. Pure functions."""

from datetime import datetime, timedelta

from roomcast.core.actor import Actor
from roomcast.core.audit import check_reason
from roomcast.core.errors import Forbidden, ValidationFailed

MAX_MUTE_SECONDS = 365 * 24 * 60 * 60
"""One year."""


def check_mute(seconds: int, at: datetime) -> datetime | None:
    """When a mute that begins at `at` ends; None when 0 seconds lift it. Raises ValidationFailed."""
    if not 0 <= seconds <= MAX_MUTE_SECONDS:
        raise ValidationFailed(
            f"A mute lasts 1 to {MAX_MUTE_SECONDS} seconds (one year). 0 lifts it.", path=("input", "seconds")
        )
    return at + timedelta(seconds=seconds) if seconds else None


def check_report(reason: str) -> str:
    """The reason as it is stored. Raises ValidationFailed when it is empty."""
    checked = check_reason(reason)
    if checked is None:
        raise ValidationFailed(
            "A report needs a reason. Describe what is wrong with the message.", path=("input", "reason")
        )
    return checked


def check_audit(actor: Actor) -> None:
    if not actor.is_admin:
        raise Forbidden("Only administrators can read the audit log.")
