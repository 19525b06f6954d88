"""What is an emoji: what Unicode's own list says, in the one spelling that shows it as a picture everywhere."""

from collections.abc import Mapping
from functools import cache

from emoji import EMOJI_DATA, STATUS

_PICTURE = "\ufe0f"
"""Asks for the picture; keyboards leave it out as they please, so `❤` and `❤️` are one emoji."""


def fully_qualified(text: str) -> str | None:
    """The emoji's full spelling; None for what is none: words, letters, two emoji, a lone skin colour."""
    return _spellings().get(text.replace(_PICTURE, ""))


@cache
def _spellings() -> Mapping[str, str]:
    full = STATUS["fully_qualified"]
    return {text.replace(_PICTURE, ""): text for text, facts in EMOJI_DATA.items() if facts["status"] == full}
