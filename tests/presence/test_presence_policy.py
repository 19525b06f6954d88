"""The presence policy as tables, without a database."""

import pytest

from roomcast.core.errors import ValidationFailed
from roomcast.presence import policy


@pytest.mark.parametrize(
    ("text", "stored"), [(None, None), ("", None), ("  ", None), (" away ", "away"), ("é" * 100, "é" * 100)]
)
def test_the_text_of_a_status(text: str | None, stored: str | None) -> None:
    assert policy.check_status_text(text) == stored


@pytest.mark.parametrize("text", ["a" * 101, "two\nlines", "bell\a"])
def test_a_long_or_unprintable_status_is_refused(text: str) -> None:
    with pytest.raises(ValidationFailed, match="at most 100 printable characters") as refused:
        policy.check_status_text(text)
    assert refused.value.path == ["input", "statusText"]


@pytest.mark.parametrize(("text", "stored"), [(None, None), ("🌴", "🌴"), ("\u2764", "\u2764\ufe0f")])
def test_the_emoji_of_a_status(text: str | None, stored: str | None) -> None:
    assert policy.check_status_emoji(text) == stored


@pytest.mark.parametrize("text", ["", "a", "🌴🌴"])
def test_a_status_emoji_is_one_emoji(text: str) -> None:
    with pytest.raises(ValidationFailed, match="exactly one emoji") as refused:
        policy.check_status_emoji(text)
    assert refused.value.path == ["input", "statusEmoji"]


def test_two_refreshes_of_a_typing_user_may_be_lost() -> None:
    assert 2 * policy.TYPING_REFRESH_SECONDS < policy.TYPING_EXPIRY_SECONDS < 3 * policy.TYPING_REFRESH_SECONDS
