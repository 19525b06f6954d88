"""The moderation policy as tables, without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from roomcast.core.actor import Actor
from roomcast.core.errors import Forbidden, ValidationFailed
from roomcast.core.ids import uuid7
from roomcast.moderation import policy

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
YEAR = 31_536_000


@pytest.mark.parametrize(
    ("seconds", "ends"), [(0, None), (1, NOW + timedelta(seconds=1)), (YEAR, NOW + timedelta(days=365))]
)
def test_when_a_mute_ends(seconds: int, ends: datetime | None) -> None:
    assert policy.check_mute(seconds, NOW) == ends


@pytest.mark.parametrize("seconds", [-1, YEAR + 1])
def test_a_mute_outside_the_limits_is_refused(seconds: int) -> None:
    with pytest.raises(ValidationFailed, match=f"1 to {YEAR} seconds") as refused:
        policy.check_mute(seconds, NOW)
    assert refused.value.path == ["input", "seconds"]


def test_a_report_has_a_reason() -> None:
    assert policy.check_report(" spam ") == "spam"
    with pytest.raises(ValidationFailed, match="needs a reason") as refused:
        policy.check_report(" ")
    assert refused.value.path == ["input", "reason"]


def test_administrators_read_the_audit_log() -> None:
    policy.check_audit(Actor(uuid7(), uuid7(), True, NOW))
    with pytest.raises(Forbidden, match="Only administrators"):
        policy.check_audit(Actor(uuid7(), uuid7(), False, NOW))
