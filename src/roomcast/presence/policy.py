"""Limits of presence and typing, and the validation of a status. Pure functions."""

from roomcast.core.errors import ValidationFailed
from roomcast.core.text_folding import is_printable
from roomcast.messages.emoji import fully_qualified

MAX_STATUS_TEXT = 100
"""Characters."""

MAX_VISIBLE_USERS = 100
"""Online users that are shown of one room. In larger rooms their changes would be the most frequent payload, and nobody
reads such a list."""

MAX_TYPING_USERS = 20
"""Typing users that are shown of one room, those who started first."""

TYPING_REFRESH_SECONDS = 4.0
"""How often a client repeats `setTyping` while its user types."""

TYPING_EXPIRY_SECONDS = 10.0
"""How long a user counts as typing after the last refresh: two refreshes may be lost."""


def check_status_text(text: str | None) -> str | None:
    """The text without surrounding spaces, None if nothing is left. Raises ValidationFailed."""
    if text is None:
        return None
    if len(text) > MAX_STATUS_TEXT or not is_printable(text):
        raise ValidationFailed(
            f"A status has at most {MAX_STATUS_TEXT} printable characters.", path=("input", "statusText")
        )
    return text.strip() or None


def check_status_emoji(text: str | None) -> str | None:
    """The emoji in its fully qualified form. Raises ValidationFailed."""
    if text is None:
        return None
    emoji = fully_qualified(text)
    if emoji is None:
        raise ValidationFailed("A status emoji must be exactly one emoji.", path=("input", "statusEmoji"))
    return emoji
