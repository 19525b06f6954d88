"""What a status may say, and how long what is said of people holds. Pure: values in, verdict out."""

from roomcast.core.errors import ValidationFailed
from roomcast.core.text_folding import is_printable
from roomcast.messages.emoji import fully_qualified

MAX_STATUS_TEXT = 100
"""Characters."""

MAX_SHOWN = 100
"""People of a room who are shown as present. In larger crowds coming and going would be said more often than anything
else, and nobody reads such a list."""

MAX_TYPISTS = 20
"""People of a room who are shown typing, those who began first."""

TYPING_REFRESH_SECONDS = 4.0
"""How often a client says again that its person types."""

TYPING_EXPIRY_SECONDS = 10.0
"""How long that is believed: two refreshes may be lost."""


def check_status_text(text: str | None) -> str | None:
    """The text as it is shown; None for one that says nothing."""
    if text is None:
        return None
    if len(text) > MAX_STATUS_TEXT or not is_printable(text):
        raise ValidationFailed(
            f"a status has at most {MAX_STATUS_TEXT} printable characters", path=("input", "statusText")
        )
    return text.strip() or None


def check_status_emoji(text: str | None) -> str | None:
    """The emoji in its full spelling."""
    if text is None:
        return None
    emoji = fully_qualified(text)
    if emoji is None:
        raise ValidationFailed("a status has one emoji", path=("input", "statusEmoji"))
    return emoji
