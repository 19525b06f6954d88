"""Generates `docs/permissions.md` from the policies: `python -m tests.permissions > docs/permissions.md`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from roomcast.accounts import policy as accounts
from roomcast.core.actor import Actor
from roomcast.core.errors import Refused
from roomcast.messages import policy as messages
from roomcast.messages.models import Message
from roomcast.moderation import policy as moderation
from roomcast.rooms import policy
from roomcast.rooms.models import FormerMember, Invite, Membership, Room, RoomKind, RoomRole, RoomVisibility
from roomcast.rooms.policy import Right

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ME, OTHER = UUID(int=1), UUID(int=2)
ROOM_ID = UUID(int=3)
ROLES = list(RoomRole)
VIEWERS = ["outsider", *ROLES, "administrator"]
"""Roles of the acting user. The administrator of the server is not a member of the room."""

INTRODUCTION = """# Who may do what

Generated from the policies by `python -m tests.permissions > docs/permissions.md`. A test checks that it is up to date.
A cell contains `yes` or the error code of the mutation. Clients read the same from `viewerPermissions`.

Users who cannot read a room get `NOT_FOUND` for everything in it, exactly as for a room that does not exist. These are
the users outside of private rooms and direct conversations, administrators of the server included.
"""


def actor(*, admin: bool = False) -> Actor:
    return Actor(ME, UUID(int=9), admin, NOON + timedelta(hours=1))


def member(role: RoomRole | None, user_id: UUID = ME) -> Membership | None:
    return Membership(room_id=ROOM_ID, user_id=user_id, role=role, joined_at=NOON) if role else None


def make_room(
    kind: RoomKind = RoomKind.CHANNEL, visibility: RoomVisibility = RoomVisibility.PUBLIC, *, archived: bool = False
) -> Room:
    return Room(id=ROOM_ID, kind=kind, visibility=visibility, created_at=NOON, archived_at=NOON if archived else None)


PUBLIC, PRIVATE = make_room(), make_room(visibility=RoomVisibility.PRIVATE)
ARCHIVED = make_room(archived=True)
DIRECT = make_room(RoomKind.DIRECT, RoomVisibility.PRIVATE)


def verdict(check: Callable[[], object]) -> str:
    """`yes`, or the error code."""
    try:
        check()
    except Refused as refused:
        return f"`{refused.code}`"
    return "yes"


def refusal(check: Callable[[], object]) -> tuple[str, list[str] | None] | None:
    """The code and the path of the check's error; None when it passes."""
    try:
        check()
    except Refused as refused:
        return refused.code, list(refused.path) if refused.path else None
    return None


def actor_named(actor_name: str) -> tuple[Actor, Membership | None]:
    """The actor for a column, and their membership of the room."""
    role = RoomRole(actor_name) if actor_name in ROLES else None
    return actor(admin=actor_name == "administrator"), member(role)


def right_in(room: Room, actor_name: str, right: Right) -> str:
    actor, membership = actor_named(actor_name)
    if not policy.may_read(actor, room, membership):
        return "`NOT_FOUND`"
    if right is Right.SEND:
        return verdict(lambda: messages.check_send(actor, room, membership, NOON))
    return verdict(lambda: policy.check_right(actor, room, membership, right))


def moderating(actor_name: str, other: RoomRole, action: str, owners: int = 2) -> str:
    """The verdict on an action on another member of a public room."""
    actor, membership = actor_named(actor_name)
    target = member(other, OTHER)
    assert target is not None
    checks: dict[str, Callable[[], object]] = {
        "mute": lambda: policy.check_outranks(actor, PUBLIC, membership, target),
        "remove": lambda: policy.check_remove(actor, PUBLIC, membership, target, owners),
        "change the role of": lambda: policy.check_set_role(actor, PUBLIC, membership, target, owners),
    }
    return verdict(checks[action])


def adding(actor_name: str, role: RoomRole) -> str:
    actor, membership = actor_named(actor_name)
    return verdict(lambda: policy.check_add(actor, PUBLIC, membership, role))


def joining(room: Room, *, removed: bool, inviter: RoomRole | None = None, created: datetime = NOON) -> str:
    """The verdict on joining. `inviter`: the role of the invite's creator; `created`: when it was created. The removal
    was an hour before noon."""
    removed_at = NOON - timedelta(hours=1) if removed else None
    former = FormerMember(room_id=ROOM_ID, user_id=ME, role=RoomRole.MEMBER, removed=removed, removed_at=removed_at)
    if inviter is None and not policy.may_read(actor(), room, None):
        return "`NOT_FOUND`"
    invite = Invite(code="", room_id=ROOM_ID, created_by_id=OTHER, created_at=created) if inviter else None
    return verdict(lambda: policy.check_join(room, former, invite, inviter))


def leaving(room: Room, role: RoomRole, owners: int) -> str:
    return verdict(lambda: policy.check_leave(room, member(role), owners))


def table(corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    lines = [[corner, *columns], ["---"] * (len(columns) + 1), *([name, *cells] for name, cells in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _rights(title: str, room: Room, columns: Sequence[str] = VIEWERS) -> str:
    rows = [(right.value, [right_in(room, actor_name, right) for actor_name in columns]) for right in Right]
    return f"## {title}\n\n" + table("", columns, rows)


def _on_members() -> str:
    parts = ["## Actions on other members of a public room with two owners\n"]
    for action in ("mute", "remove", "change the role of"):
        rows = [(actor_name, [moderating(actor_name, other, action) for other in ROLES]) for actor_name in VIEWERS]
        parts.append(table(f"{action} a …", ROLES, rows))
    parts.append("Nobody removes the last owner or changes their role:\n")
    last = [
        (
            actor_name,
            [moderating(actor_name, RoomRole.OWNER, action, owners=1) for action in ("remove", "change the role of")],
        )
        for actor_name in ("OWNER", "administrator")
    ]
    parts.append(table("", ["remove the last owner", "change their role"], last))
    parts.append("Adding a user to a public room with a role:\n")
    parts.append(
        table("added by", ROLES, [(actor_name, [adding(actor_name, role) for role in ROLES]) for actor_name in VIEWERS])
    )
    return "\n".join(parts)


def _joining_and_leaving() -> str:
    rooms = {"public": PUBLIC, "private": PRIVATE, "archived": ARCHIVED, "direct": DIRECT}
    before = NOON - timedelta(hours=2)
    ways: dict[str, Callable[[Room], str]] = {
        "without an invite": partial(joining, removed=False),
        "with any invite": partial(joining, removed=False, inviter=RoomRole.MEMBER),
        "without an invite, after a removal": partial(joining, removed=True),
        "with an invite created before the removal": partial(
            joining, removed=True, inviter=RoomRole.OWNER, created=before
        ),
        "with a MEMBER's invite, after a removal": partial(joining, removed=True, inviter=RoomRole.MEMBER),
        "with a MODERATOR's invite, after a removal": partial(joining, removed=True, inviter=RoomRole.MODERATOR),
    }
    enter = [(way, [enters(room) for room in rooms.values()]) for way, enters in ways.items()]
    leave = [
        ("any member but the last owner", [leaving(room, RoomRole.MEMBER, 1) for room in rooms.values()]),
        (
            "the last owner",
            [leaving(room, RoomRole.OWNER, 1) for room in (PUBLIC, PRIVATE, ARCHIVED)] + ["–"],
        ),
    ]
    return "## Joining and leaving\n\n" + table("join", list(rooms), enter) + "\n" + table("leave", list(rooms), leave)


def to_message(actor_name: str, action: str, author: UUID) -> str:
    """The verdict on an action on a message in a public room."""
    actor, membership = actor_named(actor_name)
    message = Message(room_id=ROOM_ID, author_id=author, body="hm", created_at=NOON)
    checks: dict[str, Callable[[], object]] = {
        "edit": lambda: messages.check_edit(actor, message, PUBLIC, membership, NOON),
        "delete": lambda: messages.check_delete(actor, message, PUBLIC, membership),
        "react to": lambda: messages.check_react(actor, message, PUBLIC, membership, NOON),
        "pin": lambda: messages.check_pin(actor, message, PUBLIC, membership),
    }
    return verdict(checks[action])


def _messages() -> str:
    rows = [
        (f"{action} {whose} message", [to_message(actor_name, action, author) for actor_name in VIEWERS])
        for action in ("edit", "delete", "react to", "pin")
        for whose, author in (("their own", ME), ("another user's", OTHER))
    ]
    threads = [verdict(partial(policy.check_member, actor_named(actor_name)[1])) for actor_name in VIEWERS]
    rows.append(("follow a thread, mark it read", threads))
    return "## Actions on messages in a public room\n\n" + table("", VIEWERS, rows)


def _server() -> str:
    columns = [actor(), actor(admin=True)]
    administrators = {True: {ME, OTHER}, False: {OTHER}}
    audit = [verdict(partial(moderation.check_audit, one)) for one in columns]
    rule = [verdict(partial(accounts.check_administrator, one, administrators[one.is_admin])) for one in columns]
    last = verdict(partial(accounts.check_demotion, ME, {ME}))
    rows = [
        ("read the audit log", audit),
        ("change users' roles, ban and unban", rule),
        ("demote or ban the last administrator", [rule[0], last]),
    ]
    return "## On the whole server\n\n" + table("", ["MEMBER", "ADMIN"], rows)


def document() -> str:
    """The text of the page."""
    return "\n".join(
        [
            INTRODUCTION,
            _rights("In a public room", PUBLIC),
            _rights("In a private room", PRIVATE),
            _rights("In an archived public room", ARCHIVED),
            _rights("In a direct conversation", DIRECT, ["outsider", RoomRole.MEMBER, "administrator"]),
            _on_members(),
            _messages(),
            _joining_and_leaving(),
            _server(),
        ]
    )


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 (the page goes to stdout)
