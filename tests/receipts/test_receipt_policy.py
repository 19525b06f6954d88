"""The receipt policy, without a database."""

import pytest

from roomcast.receipts.policy import is_read_marker_announced
from roomcast.rooms.models import Room


@pytest.mark.parametrize(("members", "announced"), [(1, True), (100, True), (101, False)])
def test_small_rooms_announce_read_markers(members: int, announced: bool) -> None:
    assert is_read_marker_announced(Room(member_count=members)) is announced
