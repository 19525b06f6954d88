"""The account policy as tables, without a database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from roomcast.accounts import policy
from roomcast.accounts.models import Session, User, UserRole
from roomcast.accounts.policy import AccountRules, SessionEndReason, SignupMode
from roomcast.core.actor import Actor
from roomcast.core.errors import Refused
from roomcast.core.ids import uuid7

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ONE, TWO = uuid7(), uuid7()


def verdict(check: Callable[..., Any], *arguments: Any) -> str:
    try:
        check(*arguments)
    except Refused as refused:
        return refused.code
    return "yes"


def person(**more: Any) -> User:
    facts = {"username": "ann", "username_key": "ann", "display_name": "Ann", "search_key": "", "password_hash": ""}
    return User(**{**facts, "id": ONE, "created_at": NOW, **more})


@pytest.mark.parametrize(
    ("mode", "alone", "invited"),
    [
        (SignupMode.OPEN, "yes", "yes"),
        (SignupMode.INVITE_ONLY, "SIGNUP_CLOSED", "yes"),
        (SignupMode.CLOSED, "SIGNUP_CLOSED", "SIGNUP_CLOSED"),
    ],
)
def test_who_may_sign_up(mode: SignupMode, alone: str, invited: str) -> None:
    check = partial(policy.check_signup_open, AccountRules(mode))
    assert (verdict(partial(check, invited=False)), verdict(partial(check, invited=True))) == (alone, invited)


@pytest.mark.parametrize(
    ("revoked", "expires_in", "banned", "expected"),
    [
        (False, 1, False, None),
        (False, 0, False, SessionEndReason.SESSION_REVOKED),
        (False, -1, False, SessionEndReason.SESSION_REVOKED),
        (True, 1, False, SessionEndReason.SESSION_REVOKED),
        (False, 1, True, SessionEndReason.BANNED),
        (True, -1, True, SessionEndReason.BANNED),
    ],
)
def test_the_end_reason_of_a_session(
    revoked: bool, expires_in: int, banned: bool, expected: SessionEndReason | None
) -> None:
    session = Session(
        user_id=ONE, created_at=NOW, last_seen_at=NOW, expires_at=NOW + timedelta(seconds=expires_in),
        revoked_at=NOW if revoked else None,
    )  # fmt: skip
    assert policy.session_end_reason(session, person(banned_at=NOW if banned else None), NOW) == expected


@pytest.mark.parametrize(
    ("is_admin", "administrators", "expected"),
    [(True, {ONE}, "yes"), (True, {ONE, TWO}, "yes"), (True, {TWO}, "FORBIDDEN"), (False, {TWO}, "FORBIDDEN")],
)
def test_an_actor_must_still_be_administrator(is_admin: bool, administrators: set[Any], expected: str) -> None:
    actor = Actor(ONE, uuid7(), is_admin, NOW)
    assert verdict(policy.check_administrator, actor, administrators) == expected


@pytest.mark.parametrize(
    ("role", "administrators", "expected"),
    [
        (UserRole.ADMIN, {ONE}, "yes"),
        (UserRole.ADMIN, {TWO}, "yes"),
        (UserRole.MEMBER, {ONE, TWO}, "yes"),
        (UserRole.MEMBER, {TWO}, "yes"),
        (UserRole.MEMBER, {ONE}, "CONFLICT"),
    ],
)
def test_which_role_changes_are_allowed(role: UserRole, administrators: set[Any], expected: str) -> None:
    assert verdict(policy.check_role_change, person(), role, administrators) == expected


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("ann", "yes"), ("A.nn-_9", "yes"), ("x" * 32, "yes"), ("9lives", "yes"),
        ("x", "VALIDATION_FAILED"), ("x" * 33, "VALIDATION_FAILED"), ("_ann", "VALIDATION_FAILED"),
        ("an n", "VALIDATION_FAILED"), ("änn", "VALIDATION_FAILED"), ("ann\n", "VALIDATION_FAILED"),
        ("ann@home", "VALIDATION_FAILED"), ("", "VALIDATION_FAILED"), ("Root", "VALIDATION_FAILED"),
        ("ann.", "VALIDATION_FAILED"), ("ann_", "VALIDATION_FAILED"), ("a-", "VALIDATION_FAILED"), ("m8", "yes"),
        ("m0derat0r", "VALIDATION_FAILED"), ("adm1n", "VALIDATION_FAILED"), ("Ali", "yes"), ("admin", "yes"),
    ],
)  # fmt: skip
def test_which_usernames_are_valid(username: str, expected: str) -> None:
    assert verdict(policy.check_username, username) == expected


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("ann@example.org", "yes"), ("ann+x@mail.example.org", "yes"), ("änn@exämple.org", "yes"),
        ("ann", "VALIDATION_FAILED"), ("ann@host", "VALIDATION_FAILED"), ("a b@example.org", "VALIDATION_FAILED"),
        ("a@b@example.org", "VALIDATION_FAILED"), ("x" * 250 + "@example.org", "VALIDATION_FAILED"),
        ("ann\0@example.org", "VALIDATION_FAILED"),
    ],
)  # fmt: skip
def test_which_email_addresses_are_valid(email: str, expected: str) -> None:
    assert verdict(policy.check_email, email) == expected


@pytest.mark.parametrize(("banned", "expected"), [(False, "yes"), (True, "BANNED")])
def test_who_may_sign_in(banned: bool, expected: str) -> None:
    assert verdict(policy.check_not_banned, person(banned_at=NOW if banned else None)) == expected
