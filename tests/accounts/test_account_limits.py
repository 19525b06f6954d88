"""The limits of the account policy, each tested at its edge: n is allowed, n + 1 is refused. No database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from roomcast.accounts import policy
from roomcast.accounts.policy import AccountRules
from tests.permissions import refusal

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("check", "limit", "argument"),
    [
        (policy.check_display_name, 64, "displayName"),
        (policy.check_bio, 500, "bio"),
        (policy.check_device_name, 100, "deviceName"),
    ],
)
def test_an_account_text_is_limited_and_printable(check: Callable[[str], None], limit: int, argument: str) -> None:
    invalid = ("VALIDATION_FAILED", ["input", argument])
    assert refusal(lambda: check("x" * limit)) is None
    assert refusal(lambda: check("x")) is None
    assert refusal(lambda: check("x" * (limit + 1))) == invalid
    assert refusal(lambda: check("a\0b")) == invalid


def test_a_display_name_is_one_non_empty_line_and_a_bio_may_have_several() -> None:
    for blank in ("", "   "):
        assert refusal(partial(policy.check_display_name, blank)) == (
            "VALIDATION_FAILED",
            ["input", "displayName"],
        )
    assert refusal(lambda: policy.check_bio("")) is None
    assert refusal(lambda: policy.check_device_name("")) is None
    assert refusal(lambda: policy.check_bio("one\ntwo")) is None
    assert refusal(lambda: policy.check_display_name("one\ntwo")) is not None


def test_an_email_address_has_up_to_254_characters_and_64_before_the_at_sign() -> None:
    invalid = ("VALIDATION_FAILED", ["input", "email"])
    domain = "d" * (254 - len("a@.org")) + ".org"
    assert refusal(lambda: policy.check_email("a@" + domain)) is None
    assert refusal(lambda: policy.check_email("a@d" + domain)) == invalid
    assert refusal(lambda: policy.check_email("x" * 64 + "@example.org")) is None
    assert refusal(lambda: policy.check_email("x" * 65 + "@example.org")) == invalid


@pytest.mark.parametrize(
    ("used_after_days", "ends_after_days"), [(0, 30), (100, 130), (150, 180), (151, 180), (179, 180)]
)
def test_a_session_ends_30_days_after_its_last_use_and_after_180_days_at_most(
    used_after_days: int, ends_after_days: int
) -> None:
    end = AccountRules().session_end(NOON, NOON + timedelta(days=used_after_days))
    assert end == NOON + timedelta(days=ends_after_days)


@pytest.mark.parametrize(
    ("token", "presented", "allowed"),
    [
        (None, None, True),
        (None, "anything", True),
        ("secret", "secret", True),
        ("secret", " secret\n", True),
        ("secret", "Secret", False),
        ("secret", "", False),
        ("secret", None, False),
        ("secret", "\udcff", False),
    ],
)
def test_the_first_account_needs_the_setup_token_if_one_is_set(
    token: str | None, presented: str | None, allowed: bool
) -> None:
    found = refusal(lambda: policy.check_setup(AccountRules(setup_token=token), presented))
    assert found == (None if allowed else ("FORBIDDEN", ["input", "setupToken"]))


def test_the_first_user_is_administrator_by_default() -> None:
    assert AccountRules().first_user_is_admin
    assert AccountRules().setup_token is None


@pytest.mark.parametrize("name", sorted(policy.RESERVED - {"me"}))
def test_every_reserved_username_is_refused_in_any_case(name: str) -> None:
    for spelling in (name, name.upper()):
        assert refusal(partial(policy.check_not_reserved, spelling)) == (
            "VALIDATION_FAILED",
            ["input", "username"],
        )
    expected = None if name == "admin" else ("VALIDATION_FAILED", ["input", "username"])
    assert refusal(lambda: policy.check_username(name)) == expected
