"""Emoji as Unicode's own list defines them, in the fully qualified spelling, which every device shows as a picture."""

from collections.abc import Mapping
from functools import cache

_VARIATION_SELECTOR = "\ufe0f"
"""U+FE0F asks for the picture. Keyboards add it or leave it out, so `❤` and `❤️` must count as one emoji."""


def fully_qualified(text: str) -> str | None:
    """The fully qualified spelling of one emoji. None for anything else: text, two emoji, a lone skin tone modifier."""
    return _spellings_by_bare_text().get(text.replace(_VARIATION_SELECTOR, ""))


@cache
def _spellings_by_bare_text() -> Mapping[str, str]:
    from emoji import EMOJI_DATA, STATUS  # noqa: PLC0415 (slow, and not needed by the first request)

    full = STATUS["fully_qualified"]
    return {
        text.replace(_VARIATION_SELECTOR, ""): text for text, facts in EMOJI_DATA.items() if facts["status"] == full
    }
