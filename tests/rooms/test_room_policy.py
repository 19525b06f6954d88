"""The rules of rooms as tables, without a database; and the page of the documentation that is printed from them."""

from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from roomcast.core.errors import Refused
from roomcast.messages.policy import check_send
from roomcast.rooms import policy
from roomcast.rooms.models import FormerMember, Invite, Room, RoomRole
from roomcast.rooms.policy import MINIMUM_ROLE, RANK, Right
from tests import permissions as asked
from tests.permissions import ARCHIVED, DIRECT, ME, NOON, OTHER, PRIVATE, PUBLIC, ROOM_ID, actor, member, verdict

READ_ONLY, MEMBER, MODERATOR, OWNER = RoomRole.READ_ONLY, RoomRole.MEMBER, RoomRole.MODERATOR, RoomRole.OWNER


def test_the_documentation_says_what_the_policies_say() -> None:
    page = Path(__file__).parents[2] / "docs" / "permissions.md"
    assert page.read_text() == asked.document(), "python -m tests.permissions > docs/permissions.md"


def test_a_higher_role_lacks_nothing_that_a_lower_one_has() -> None:
    ladder = sorted(RANK, key=RANK.__getitem__)
    for room in (PUBLIC, PRIVATE, ARCHIVED, DIRECT):
        rights = [{right for right in Right if policy.has_right(actor(), room, member(role), right)} for role in ladder]
        assert all(lower <= higher for lower, higher in zip(rights, rights[1:], strict=False))
    assert set(MINIMUM_ROLE) == set(Right)


@pytest.mark.parametrize("right", Right)
def test_an_administrator_is_an_owner_in_public_and_a_stranger_in_private(right: Right) -> None:
    assert asked.right_in(PRIVATE, "administrator", right) == "`NOT_FOUND`"
    assert asked.right_in(DIRECT, "administrator", right) == "`NOT_FOUND`"
    as_owner = asked.right_in(PUBLIC, "OWNER", right)
    assert asked.right_in(PUBLIC, "administrator", right) == ("`NOT_A_MEMBER`" if right is Right.SEND else as_owner)
    inside = policy.has_right(actor(admin=True), PRIVATE, member(READ_ONLY), right)
    assert inside is policy.has_right(actor(), PRIVATE, member(READ_ONLY), right)


@pytest.mark.parametrize(
    ("who", "other", "allowed"),
    [
        (READ_ONLY, READ_ONLY, ""),
        (MEMBER, READ_ONLY, ""),
        (MODERATOR, MEMBER, "mute remove"),
        (MODERATOR, MODERATOR, ""),
        (MODERATOR, OWNER, ""),
        (OWNER, MODERATOR, "mute remove change the role of"),
        (OWNER, OWNER, ""),
        ("administrator", OWNER, "remove change the role of"),
        ("administrator", MODERATOR, "mute remove change the role of"),
    ],
)
def test_what_one_may_do_to_another(who: str, other: RoomRole, allowed: str) -> None:
    for deed in ("mute", "remove", "change the role of"):
        assert (asked.moderating(who, other, deed) == "yes") is (deed in allowed)


@pytest.mark.parametrize(
    ("room", "removed", "inviter", "answer"),
    [
        (PUBLIC, False, None, "yes"),
        (PUBLIC, True, None, "`FORBIDDEN`"),
        (PUBLIC, True, MODERATOR, "yes"),
        (PUBLIC, True, MEMBER, "`FORBIDDEN`"),
        (PRIVATE, False, MEMBER, "yes"),
        (PRIVATE, True, OWNER, "yes"),
        (ARCHIVED, False, MEMBER, "`ROOM_ARCHIVED`"),
        (DIRECT, False, MEMBER, "`FORBIDDEN`"),
    ],
)
def test_ways_into_a_room(room: Room, removed: bool, inviter: RoomRole | None, answer: str) -> None:
    assert asked.joining(room, removed=removed, inviter=inviter) == answer


def test_who_steps_down_leaves_an_owner_behind() -> None:
    me = member(OWNER)
    assert me is not None
    assert verdict(lambda: policy.check_set_role(actor(), PRIVATE, me, me, 2)) == "yes"
    assert verdict(lambda: policy.check_set_role(actor(), PRIVATE, me, me, 1)) == "`CONFLICT`"


@pytest.mark.parametrize(
    ("role", "given", "adder", "becomes"),
    [
        (MEMBER, MEMBER, None, MEMBER),
        (OWNER, MEMBER, None, MEMBER),
        (READ_ONLY, MEMBER, None, READ_ONLY),
        (READ_ONLY, MEMBER, MODERATOR, READ_ONLY),
        (READ_ONLY, MODERATOR, OWNER, MODERATOR),
    ],
)
def test_as_what_one_comes_back(role: RoomRole, given: RoomRole, adder: RoomRole | None, becomes: RoomRole) -> None:
    former = FormerMember(room_id=ROOM_ID, user_id=ME, role=role)
    assert policy.returning_role(given, former, adder) == becomes


@pytest.mark.parametrize(
    ("changes", "admits"),
    [
        ({}, True),
        ({"expires_at": NOON + timedelta(seconds=1), "max_uses": 1}, True),
        ({"expires_at": NOON}, False),
        ({"revoked_at": NOON}, False),
        ({"max_uses": 3, "uses": 3}, False),
        ({"max_uses": 3, "uses": 2}, True),
    ],
)
def test_which_invites_admit(changes: dict[str, Any], admits: bool) -> None:
    invite = Invite(code="c", room_id=ROOM_ID, created_by_id=OTHER, created_at=NOON, **changes)
    assert (verdict(lambda: policy.check_invite(invite, NOON)) == "yes") is admits


@pytest.mark.parametrize(
    ("role", "muted", "since_last", "code", "wait_ms"),
    [
        (MEMBER, None, None, None, None),
        (MEMBER, 30, None, "MUTED", 30_000),
        (MEMBER, 0, None, None, None),
        (MODERATOR, 30, None, "MUTED", 30_000),
        (MEMBER, None, 4, "SLOW_MODE", 6_000),
        (MEMBER, None, 10, None, None),
        (MODERATOR, None, 0, None, None),
        (READ_ONLY, 30, 4, "READ_ONLY", None),
    ],
)
def test_who_speaks_when(
    role: RoomRole, muted: int | None, since_last: int | None, code: str | None, wait_ms: int | None
) -> None:
    room = PUBLIC.model_copy(update={"slow_mode_seconds": 10})
    me = member(role)
    assert me is not None
    me.muted_until = None if muted is None else NOON + timedelta(seconds=muted)
    me.last_sent_at = None if since_last is None else NOON - timedelta(seconds=since_last)
    with nullcontext() if code is None else pytest.raises(Refused) as refused:
        check_send(actor(), room, me, NOON)
    if refused is not None:
        assert (refused.value.code, refused.value.retry_after_ms) == (code, wait_ms)
    assert policy.permissions(actor(), room, me, NOON).can_send is (code in (None, "SLOW_MODE"))
