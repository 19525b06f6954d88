"""The limits of the room policy, each tested at its edge: n is allowed, n + 1 is refused. No database."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from roomcast.core.text_folding import fold
from roomcast.rooms import policy
from roomcast.rooms.models import FormerMember, Invite, Membership, Room, RoomKind, RoomRole
from roomcast.rooms.policy import Right
from tests.permissions import ARCHIVED, DIRECT, ME, NOON, OTHER, PRIVATE, PUBLIC, ROOM_ID, actor, member, refusal

READ_ONLY, MEMBER, MODERATOR, OWNER = RoomRole.READ_ONLY, RoomRole.MEMBER, RoomRole.MODERATOR, RoomRole.OWNER
YEAR_SECONDS = 31_536_000


def invalid(argument: str) -> tuple[str, list[str]]:
    return "VALIDATION_FAILED", ["input", argument]


# ------------------------------------------------------------------ texts and numbers


def test_the_limits_have_their_public_values() -> None:
    assert (policy.MAX_NAME, policy.MAX_NAME_KEY, policy.MAX_TOPIC, policy.MAX_DESCRIPTION) == (80, 200, 250, 2000)
    assert (policy.MAX_USERS_AT_ONCE, policy.MAX_DIRECT_MEMBERS) == (100, 20)
    assert (policy.MAX_INVITE_USES, policy.MAX_INVITE_SECONDS) == (100_000, YEAR_SECONDS)
    assert policy.MAX_SLOW_MODE_SECONDS == 21_600


@pytest.mark.parametrize(
    ("name", "stored"),
    [("x", "x"), ("x" * 80, "x" * 80), ("  two \t words ", None), ("  two   words ", "two words")],
)
def test_a_name_of_1_to_80_characters_is_stored_with_single_spaces(name: str, stored: str | None) -> None:
    if stored is None:
        assert refusal(lambda: policy.check_name(name)) == invalid("name")
    else:
        assert policy.check_name(name) == stored


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\0b", "line\nbreak", "\u3164", "ﷺ" * 80])
def test_a_name_that_is_empty_too_long_or_unprintable_is_refused(name: str) -> None:
    assert refusal(lambda: policy.check_name(name)) == invalid("name")


def test_a_name_whose_folded_form_has_200_characters_is_allowed_and_201_are_refused() -> None:
    eighteen = "ﷺ"  # one character that folds to eighteen
    size = len(fold(eighteen))
    count, rest = divmod(200, size)
    assert policy.check_name(eighteen * count + "x" * rest)
    assert refusal(lambda: policy.check_name(eighteen * count + "x" * (rest + 1))) == invalid("name")


@pytest.mark.parametrize(
    ("check", "limit", "argument"),
    [(policy.check_topic, 250, "topic"), (policy.check_description, 2000, "description")],
)
def test_a_topic_and_a_description_have_a_limit_and_are_printable(
    check: Callable[[str | None], str | None], limit: int, argument: str
) -> None:
    assert check("x" * limit) == "x" * limit
    assert check(None) is None
    assert check("") is None
    assert refusal(lambda: check("x" * (limit + 1))) == invalid(argument)
    assert refusal(lambda: check("a\0b")) == invalid(argument)


def test_a_description_has_lines_and_a_topic_is_one_line() -> None:
    assert policy.check_description("one\ntwo") == "one\ntwo"
    assert refusal(lambda: policy.check_topic("one\ntwo")) == invalid("topic")


@pytest.mark.parametrize("seconds", [0, 1, 21_600])
def test_slow_mode_takes_up_to_six_hours(seconds: int) -> None:
    assert policy.check_slow_mode(seconds) == seconds


@pytest.mark.parametrize("seconds", [-1, 21_601])
def test_slow_mode_outside_its_limits_is_refused(seconds: int) -> None:
    assert refusal(lambda: policy.check_slow_mode(seconds)) == invalid("slowModeSeconds")


# ------------------------------------------------------------------ invites


@pytest.mark.parametrize(
    ("seconds", "uses", "argument"),
    [
        (None, None, None),
        (1, 1, None),
        (YEAR_SECONDS, 100_000, None),
        (0, None, "expiresInSeconds"),
        (-1, None, "expiresInSeconds"),
        (YEAR_SECONDS + 1, None, "expiresInSeconds"),
        (None, 0, "maxUses"),
        (None, -1, "maxUses"),
        (None, 100_001, "maxUses"),
    ],
)
def test_an_invite_lasts_up_to_a_year_and_has_up_to_100000_uses(
    seconds: int | None, uses: int | None, argument: str | None
) -> None:
    expected = invalid(argument) if argument else None
    assert refusal(lambda: policy.check_invite_terms(seconds, uses)) == expected


def test_an_unknown_invite_is_invalid() -> None:
    assert refusal(lambda: policy.check_invite(None, NOON)) == ("INVITE_INVALID", ["input", "inviteCode"])


@pytest.mark.parametrize(
    ("creator", "role", "admin", "code"),
    [
        (ME, MEMBER, False, None),
        (ME, None, False, None),
        (OTHER, READ_ONLY, False, "FORBIDDEN"),
        (OTHER, MEMBER, False, "FORBIDDEN"),
        (OTHER, MODERATOR, False, None),
        (OTHER, OWNER, False, None),
        (OTHER, None, False, "NOT_A_MEMBER"),
        (OTHER, None, True, None),
    ],
)
def test_an_invite_is_revoked_by_its_creator_and_by_moderators(
    creator: Any, role: RoomRole | None, admin: bool, code: str | None
) -> None:
    invite = Invite(code="c", room_id=ROOM_ID, created_by_id=creator, created_at=NOON)
    found = refusal(lambda: policy.check_revoke_invite(actor(admin=admin), PUBLIC, member(role), invite))
    assert (found[0] if found else None) == code


# ------------------------------------------------------------------ joining, leaving and roles


@pytest.mark.parametrize(
    ("room", "with_invite", "code"),
    [
        (PUBLIC, False, None),
        (PUBLIC, True, None),
        (PRIVATE, False, "FORBIDDEN"),
        (PRIVATE, True, None),
        (ARCHIVED, False, "ROOM_ARCHIVED"),
        (DIRECT, False, "FORBIDDEN"),
        (DIRECT, True, "FORBIDDEN"),
    ],
)
def test_a_private_room_is_joined_only_with_an_invite(room: Room, with_invite: bool, code: str | None) -> None:
    invite = Invite(code="c", room_id=ROOM_ID, created_by_id=OTHER, created_at=NOON) if with_invite else None
    found = refusal(lambda: policy.check_join(room, None, invite, None))
    assert (found[0] if found else None) == code


@pytest.mark.parametrize(("removed_at", "code"), [(None, "FORBIDDEN"), (NOON, "FORBIDDEN")])
def test_an_invite_must_be_newer_than_the_removal_to_readmit(removed_at: Any, code: str) -> None:
    former = FormerMember(room_id=ROOM_ID, user_id=ME, role=MEMBER, removed=True, removed_at=removed_at)
    invite = Invite(code="c", room_id=ROOM_ID, created_by_id=OTHER, created_at=NOON)
    found = refusal(lambda: policy.check_join(PUBLIC, former, invite, OWNER))
    assert (found[0] if found else None) == code


def test_an_invite_of_a_user_who_has_left_does_not_readmit() -> None:
    earlier = NOON - timedelta(hours=1)
    former = FormerMember(room_id=ROOM_ID, user_id=ME, role=MEMBER, removed=True, removed_at=earlier)
    invite = Invite(code="c", room_id=ROOM_ID, created_by_id=OTHER, created_at=NOON)
    assert refusal(lambda: policy.check_join(PUBLIC, former, invite, None)) == ("FORBIDDEN", None)
    assert refusal(lambda: policy.check_join(PUBLIC, former, invite, MODERATOR)) is None


@pytest.mark.parametrize(
    ("room", "role", "owners", "code"),
    [
        (PUBLIC, MEMBER, 1, None),
        (PUBLIC, OWNER, 2, None),
        (PUBLIC, OWNER, 1, "CONFLICT"),
        (PUBLIC, None, 1, "NOT_A_MEMBER"),
        (DIRECT, MEMBER, 0, "FORBIDDEN"),
    ],
)
def test_who_may_leave(room: Room, role: RoomRole | None, owners: int, code: str | None) -> None:
    found = refusal(lambda: policy.check_leave(room, member(role), owners))
    assert (found[0] if found else None) == code


@pytest.mark.parametrize(
    ("own_role", "granted_role", "code"),
    [
        (MEMBER, READ_ONLY, None),
        (MEMBER, MEMBER, None),
        (MEMBER, MODERATOR, "FORBIDDEN"),
        (MODERATOR, MODERATOR, "FORBIDDEN"),
        (OWNER, MODERATOR, None),
        (OWNER, OWNER, None),
        (READ_ONLY, MEMBER, "FORBIDDEN"),
        (None, MEMBER, "NOT_A_MEMBER"),
    ],
)
def test_only_owners_add_members_with_a_higher_role(
    own_role: RoomRole | None, granted_role: RoomRole, code: str | None
) -> None:
    found = refusal(lambda: policy.check_add(actor(), PUBLIC, member(own_role), granted_role))
    assert (found[0] if found else None) == code
    if found is None:
        assert policy.check_add(actor(), PUBLIC, member(own_role), granted_role) == own_role


@pytest.mark.parametrize("role", [MODERATOR, OWNER])
def test_nobody_moderates_themselves(role: RoomRole) -> None:
    me = _member(role, ME)
    assert refusal(lambda: policy.check_outranks(actor(), PUBLIC, me, me)) == ("FORBIDDEN", None)
    assert refusal(lambda: policy.check_remove(actor(), PUBLIC, me, me, 2)) == ("FORBIDDEN", None)


def test_an_administrator_who_is_a_member_cannot_moderate_themselves() -> None:
    """An administrator acts as an owner, who outranks their own membership."""
    found = refusal(lambda: policy.check_outranks(actor(admin=True), PUBLIC, member(MEMBER), _member(MEMBER, ME)))
    assert found == ("FORBIDDEN", None)


def test_an_administrator_who_owns_a_room_does_not_remove_themselves() -> None:
    me = _member(OWNER, ME)
    assert refusal(lambda: policy.check_remove(actor(admin=True), PUBLIC, me, me, 2)) == ("FORBIDDEN", None)


def test_an_administrator_removes_an_owner_only_of_a_public_room() -> None:
    owner = _member(OWNER, OTHER)
    assert refusal(lambda: policy.check_remove(actor(admin=True), PUBLIC, None, owner, 2)) is None
    assert refusal(lambda: policy.check_remove(actor(admin=True), PUBLIC, None, owner, 1)) == ("CONFLICT", None)
    inside = _member(MODERATOR, ME)
    assert refusal(lambda: policy.check_remove(actor(admin=True), PRIVATE, inside, owner, 2)) == ("FORBIDDEN", None)


def test_the_role_of_an_owner_is_changed_by_an_administrator_only_in_public_rooms() -> None:
    owner, me = _member(OWNER, OTHER), _member(OWNER, ME)
    assert refusal(lambda: policy.check_set_role(actor(admin=True), PUBLIC, None, owner, 2)) is None
    assert refusal(lambda: policy.check_set_role(actor(admin=True), PRIVATE, me, owner, 2)) == ("FORBIDDEN", None)
    assert refusal(lambda: policy.check_set_role(actor(), PUBLIC, me, _member(MEMBER, OTHER), 1)) is None
    assert refusal(lambda: policy.check_set_role(actor(), PUBLIC, _member(MODERATOR, ME), owner, 2)) == (
        "FORBIDDEN",
        None,
    )


def _member(role: RoomRole, user_id: Any) -> Membership:
    found = member(role, user_id)
    assert found is not None
    return found


# ------------------------------------------------------------------ rights and roles


def test_the_permissions_that_clients_see_follow_the_rights() -> None:
    expected = {
        READ_ONLY: (),
        MEMBER: ("can_send", "can_upload", "can_invite"),
        MODERATOR: (
            "can_send", "can_upload", "can_invite", "can_manage_members", "can_pin", "can_delete_others_messages",
        ),
    }  # fmt: skip
    names = policy.Permissions.__slots__
    for role, granted in expected.items():
        shown = policy.permissions(actor(), PUBLIC, member(role), NOON)
        assert {name for name in names if getattr(shown, name)} == set(granted), role
    shown = policy.permissions(actor(), PUBLIC, member(OWNER), NOON)
    assert all(getattr(shown, name) for name in names)


@pytest.mark.parametrize("role", [MEMBER, MODERATOR, OWNER])
def test_archiving_blocks_writing_and_leaves_moderation(role: RoomRole) -> None:
    blocked = {Right.SEND, Right.INVITE, Right.PIN, Right.EDIT_ROOM}
    for right in Right:
        found = refusal(partial(policy.check_right, actor(), ARCHIVED, member(role), right))
        assert (found == ("ROOM_ARCHIVED", None)) is (right in blocked), right


def test_nobody_invites_into_a_direct_conversation() -> None:
    assert DIRECT.kind == RoomKind.DIRECT
    found = refusal(lambda: policy.check_right(actor(), DIRECT, member(OWNER), Right.INVITE))
    assert found == ("FORBIDDEN", None)
    assert policy.has_right(actor(), DIRECT, member(MEMBER), Right.SEND)


def test_only_a_public_room_is_read_by_others_than_its_members() -> None:
    assert policy.may_read(actor(), PUBLIC, None)
    assert policy.may_read(actor(), PRIVATE, member(READ_ONLY))
    assert not policy.may_read(actor(admin=True), PRIVATE, None)


def test_an_administrator_acts_as_owner_of_public_rooms() -> None:
    assert policy.effective_role(actor(admin=True), PUBLIC, None) is OWNER
    assert policy.effective_role(actor(admin=True), PRIVATE, member(MEMBER)) is MEMBER
    assert policy.effective_role(actor(admin=True), PRIVATE, None) is None
    assert policy.is_room_admin(actor(admin=True), PUBLIC)
    assert not policy.is_room_admin(actor(admin=True), PRIVATE)
    assert not policy.is_room_admin(actor(), PUBLIC)
