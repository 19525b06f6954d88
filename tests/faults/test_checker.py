"""The checker of histories finds each kind of violation."""

import pytest

from tests.faults.history import Deliveries, History, Result, Send, Stored, violations

LOG: list[Stored] = [(2, "a"), (3, "b"), (4, "c")]


def history(*segments: list[Stored], lost: bool = False, unknown: str = "") -> History:
    sends = [Send(body, None, Result.UNKNOWN if body in unknown else Result.ACKNOWLEDGED) for body in "abc"]
    return History(sends, [Deliveries("client", list(segments))], lost)


def test_a_good_history_has_no_violations() -> None:
    assert violations(history(LOG), LOG) == []
    assert violations(history(LOG[1:]), LOG) == []
    assert violations(history(LOG[:2], unknown="c"), LOG[:2]) == []


@pytest.mark.parametrize(
    ("segment", "log", "what"),
    [
        (LOG, LOG[:2], "acknowledged and not stored"),
        (LOG, [*LOG, (5, "a")], "stored twice"),
        (LOG, [*LOG, (5, "z")], "never sent"),
        ([LOG[0], LOG[2]], LOG, "was shown"),
        ([LOG[0], LOG[0], *LOG[1:]], LOG, "was shown"),
        ([LOG[1], LOG[0], LOG[2]], LOG, "was shown"),
        (LOG[:2], LOG, "received nothing after"),
    ],
)
def test_each_violation_of_a_history_is_found(segment: list[Stored], log: list[Stored], what: str) -> None:
    assert any(what in found for found in violations(history(segment), log))


def test_lost_commits_are_allowed_only_if_the_history_declares_them() -> None:
    assert violations(history(LOG, LOG[1:2], lost=True), LOG[:2]) == []
    assert violations(history(LOG, lost=True), LOG[:2]) != []
    assert violations(history(LOG[:2], LOG[2:]), LOG) != []
