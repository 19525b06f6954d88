"""The message policy as tables. No database, no clock, no server."""

from datetime import timedelta
from typing import Any

import pytest

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.errors import Refused
from roomcast.core.ids import uuid7
from roomcast.messages import policy
from roomcast.messages.models import Message
from roomcast.rooms.models import Membership, Room, RoomRole, RoomVisibility

NOW = now()
PUBLIC, PRIVATE = RoomVisibility.PUBLIC, RoomVisibility.PRIVATE
OWNER, MODERATOR, MEMBER, READ_ONLY = RoomRole.OWNER, RoomRole.MODERATOR, RoomRole.MEMBER, RoomRole.READ_ONLY


def make_case(**case: Any) -> tuple[Actor, Message, Room, Membership | None]:
    """An actor, a message, a room and a membership. Keys: role, author, admin, muted, archived, deleted, visibility."""
    actor = Actor(uuid7(), uuid7(), case.get("admin", False), NOW)
    room = Room(visibility=case.get("visibility", PUBLIC), created_at=NOW)
    room.archived_at = NOW if case.get("archived") else None
    author_id = actor.user_id if case.get("author") else uuid7()
    message = Message(room_id=room.id, seq=1, author_id=author_id, body="hm", created_at=NOW)
    message.deleted_at = NOW if case.get("deleted") else None
    if case.get("role") is None:
        return actor, message, room, None
    member = Membership(room_id=room.id, user_id=actor.user_id, role=case["role"], joined_at=NOW)
    member.muted_until = NOW + timedelta(hours=1) if case.get("muted") else None
    return actor, message, room, member


@pytest.mark.parametrize(
    ("case", "edits", "deletes"),
    [
        ({"role": MEMBER, "author": True}, True, True),
        ({"role": MEMBER}, False, False),
        ({"role": READ_ONLY, "author": True}, False, True),
        ({"role": MEMBER, "author": True, "muted": True}, False, True),
        ({"role": MEMBER, "author": True, "archived": True}, False, False),
        ({"role": MEMBER, "author": True, "deleted": True}, False, False),
        ({"role": None, "author": True}, False, False),
        ({"role": MODERATOR}, False, True),
        ({"role": OWNER}, False, True),
        ({"role": OWNER, "deleted": True}, False, False),
        ({"role": None, "admin": True}, False, True),
        ({"role": MEMBER, "admin": True, "visibility": PRIVATE}, False, False),
    ],
)
def test_who_may_edit_and_delete(case: dict[str, Any], edits: bool, deletes: bool) -> None:
    actor, message, room, member = make_case(**case)
    assert policy.may_edit(actor, message, room, member, NOW) is edits
    assert policy.may_delete(actor, message, room, member) is deletes


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ({"role": MEMBER}, None),
        ({"role": MEMBER, "deleted": True}, "CONFLICT"),
        ({"role": MEMBER, "muted": True}, "MUTED"),
        ({"role": MEMBER, "archived": True}, "ROOM_ARCHIVED"),
        ({"role": READ_ONLY}, "READ_ONLY"),
        ({"role": None}, "NOT_A_MEMBER"),
    ],
)
def test_who_may_react(case: dict[str, Any], code: str | None) -> None:
    assert refusal(policy.check_react, *make_case(**case), NOW) == code


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ({"role": MODERATOR}, None),
        ({"role": OWNER}, None),
        ({"role": None, "admin": True}, None),
        ({"role": MEMBER}, "FORBIDDEN"),
        ({"role": None}, "NOT_A_MEMBER"),
        ({"role": OWNER, "archived": True}, "ROOM_ARCHIVED"),
        ({"role": OWNER, "deleted": True}, "CONFLICT"),
    ],
)
def test_who_may_pin(case: dict[str, Any], code: str | None) -> None:
    assert refusal(policy.check_pin, *make_case(**case)) == code


def refusal(check: Any, *arguments: Any) -> str | None:
    """The code of what the check raises; None when it raises nothing."""
    try:
        check(*arguments)
    except Refused as refused:
        return refused.code
    return None
