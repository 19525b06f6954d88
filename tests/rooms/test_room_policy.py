"""The room policy as tables, without a database, and the page of the documentation that is generated from it."""

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
from tests import permissions as permissions
from tests.permissions import ARCHIVED, DIRECT, ME, NOON, OTHER, PRIVATE, PUBLIC, ROOM_ID, actor, member, verdict

READ_ONLY, MEMBER, MODERATOR, OWNER = RoomRole.READ_ONLY, RoomRole.MEMBER, RoomRole.MODERATOR, RoomRole.OWNER


def test_the_permissions_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "permissions.md"
    assert page.read_text() == permissions.document(), "python -m tests.permissions > docs/permissions.md"


def test_a_higher_role_has_all_rights_of_a_lower_one() -> None:
    roles = sorted(RANK, key=RANK.__getitem__)
    for room in (PUBLIC, PRIVATE, ARCHIVED, DIRECT):
        rights = [{right for right in Right if policy.has_right(actor(), room, member(role), right)} for role in roles]
        assert all(lower <= higher for lower, higher in zip(rights, rights[1:], strict=False))
    assert set(MINIMUM_ROLE) == set(Right)


@pytest.mark.parametrize("right", Right)
def test_an_administrator_is_owner_of_public_rooms_and_has_no_access_to_private_ones(right: Right) -> None:
    assert permissions.right_in(PRIVATE, "administrator", right) == "`NOT_FOUND`"
    assert permissions.right_in(DIRECT, "administrator", right) == "`NOT_FOUND`"
    as_owner = permissions.right_in(PUBLIC, "OWNER", right)
    assert permissions.right_in(PUBLIC, "administrator", right) == (
        "`NOT_A_MEMBER`" if right is Right.SEND else as_owner
    )
    as_member = policy.has_right(actor(admin=True), PRIVATE, member(READ_ONLY), right)
    assert as_member is policy.has_right(actor(), PRIVATE, member(READ_ONLY), right)


@pytest.mark.parametrize(
    ("actor", "other", "allowed"),
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
def test_who_may_moderate_whom(actor: str, other: RoomRole, allowed: str) -> None:
    for action in ("mute", "remove", "change the role of"):
        assert (permissions.moderating(actor, other, action) == "yes") is (action in allowed)


@pytest.mark.parametrize(
    ("room", "removed", "inviter", "expected"),
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
def test_who_may_join(room: Room, removed: bool, inviter: RoomRole | None, expected: str) -> None:
    assert permissions.joining(room, removed=removed, inviter=inviter) == expected


def test_an_owner_steps_down_only_if_there_is_another_owner() -> None:
    me = member(OWNER)
    assert me is not None
    assert verdict(lambda: policy.check_set_role(actor(), PRIVATE, me, me, 2)) == "yes"
    assert verdict(lambda: policy.check_set_role(actor(), PRIVATE, me, me, 1)) == "`CONFLICT`"


@pytest.mark.parametrize(
    ("role", "granted_role", "adder", "expected"),
    [
        (MEMBER, MEMBER, None, MEMBER),
        (OWNER, MEMBER, None, MEMBER),
        (READ_ONLY, MEMBER, None, READ_ONLY),
        (READ_ONLY, MEMBER, MODERATOR, READ_ONLY),
        (READ_ONLY, MODERATOR, OWNER, MODERATOR),
    ],
)
def test_the_role_of_a_returning_member(
    role: RoomRole, granted_role: RoomRole, adder: RoomRole | None, expected: RoomRole
) -> None:
    former = FormerMember(room_id=ROOM_ID, user_id=ME, role=role)
    assert policy.returning_role(granted_role, former, adder) == expected


@pytest.mark.parametrize(
    ("changes", "valid"),
    [
        ({}, True),
        ({"expires_at": NOON + timedelta(seconds=1), "max_uses": 1}, True),
        ({"expires_at": NOON}, False),
        ({"revoked_at": NOON}, False),
        ({"max_uses": 3, "uses": 3}, False),
        ({"max_uses": 3, "uses": 2}, True),
    ],
)
def test_which_invites_are_valid(changes: dict[str, Any], valid: bool) -> None:
    invite = Invite(code="c", room_id=ROOM_ID, created_by_id=OTHER, created_at=NOON, **changes)
    assert (verdict(lambda: policy.check_invite(invite, NOON)) == "yes") is valid


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
def test_who_may_send_and_when(
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
