"""Prints `docs/permissions.md` from the policies themselves: `python -m tests.permissions > docs/permissions.md`."""

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
PEOPLE = ["outsider", *ROLES, "administrator"]
"""Who asks: an administrator who is no member, too."""

INTRODUCTION = """# Who may do what

Printed from the policies by `python -m tests.permissions > docs/permissions.md`; a test compares the two. A cell says
`yes`, or the code that the mutation answers with. `viewerPermissions` tells clients the same.

Whoever cannot read a room gets `NOT_FOUND` for everything in it, as for a room that never was: outsiders of private
rooms and direct conversations, administrators of the server among them.
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
    """`yes`, or the code of the refusal."""
    try:
        check()
    except Refused as refused:
        return f"`{refused.code}`"
    return "yes"


def actor_named(who: str) -> tuple[Actor, Membership | None]:
    """The person of that name, and what they are in the room."""
    role = RoomRole(who) if who in ROLES else None
    return actor(admin=who == "administrator"), member(role)


def right_in(room: Room, who: str, right: Right) -> str:
    asking, membership = actor_named(who)
    if not policy.may_read(asking, room, membership):
        return "`NOT_FOUND`"
    if right is Right.SEND:
        return verdict(lambda: messages.check_send(asking, room, membership, NOON))
    return verdict(lambda: policy.check_right(asking, room, membership, right))


def moderating(who: str, other: RoomRole, deed: str, owners: int = 2) -> str:
    """What somebody may do in a public room to another member, a second owner being there."""
    asking, membership = actor_named(who)
    target = member(other, OTHER)
    assert target is not None
    checks: dict[str, Callable[[], object]] = {
        "mute": lambda: policy.check_outranks(asking, PUBLIC, membership, target),
        "remove": lambda: policy.check_remove(asking, PUBLIC, membership, target, owners),
        "change the role of": lambda: policy.check_set_role(asking, PUBLIC, membership, target, owners),
    }
    return verdict(checks[deed])


def adding(who: str, role: RoomRole) -> str:
    asking, membership = actor_named(who)
    return verdict(lambda: policy.check_add(asking, PUBLIC, membership, role))


def joining(room: Room, *, removed: bool, inviter: RoomRole | None = None, made: datetime = NOON) -> str:
    """`inviter`: by an invite of such a person, made then. Whoever was removed was so an hour before noon."""
    gone_at = NOON - timedelta(hours=1) if removed else None
    former = FormerMember(room_id=ROOM_ID, user_id=ME, role=RoomRole.MEMBER, removed=removed, removed_at=gone_at)
    if inviter is None and not policy.may_read(actor(), room, None):
        return "`NOT_FOUND`"
    invite = Invite(code="", room_id=ROOM_ID, created_by_id=OTHER, created_at=made) if inviter else None
    return verdict(lambda: policy.check_join(room, former, invite, inviter))


def leaving(room: Room, role: RoomRole, owners: int) -> str:
    return verdict(lambda: policy.check_leave(room, member(role), owners))


def table(corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    lines = [[corner, *columns], ["---"] * (len(columns) + 1), *([name, *cells] for name, cells in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _rights(title: str, room: Room, people: Sequence[str] = PEOPLE) -> str:
    rows = [(right.value, [right_in(room, who, right) for who in people]) for right in Right]
    return f"## {title}\n\n" + table("", people, rows)


def _deeds() -> str:
    parts = ["## To other members of a public room that has two owners\n"]
    for deed in ("mute", "remove", "change the role of"):
        rows = [(who, [moderating(who, other, deed) for other in ROLES]) for who in PEOPLE]
        parts.append(table(f"{deed} a …", ROLES, rows))
    parts.append("Of the last owner, nobody changes the role and nobody removes them:\n")
    last = [
        (who, [moderating(who, RoomRole.OWNER, deed, owners=1) for deed in ("remove", "change the role of")])
        for who in ("OWNER", "administrator")
    ]
    parts.append(table("", ["remove the last owner", "change their role"], last))
    parts.append("Somebody is added to a public room as:\n")
    parts.append(table("added by", ROLES, [(who, [adding(who, role) for role in ROLES]) for who in PEOPLE]))
    return "\n".join(parts)


def _coming_and_going() -> str:
    rooms = {"public": PUBLIC, "private": PRIVATE, "archived": ARCHIVED, "direct": DIRECT}
    before = NOON - timedelta(hours=2)
    ways: dict[str, Callable[[Room], str]] = {
        "by oneself": partial(joining, removed=False),
        "by any invite": partial(joining, removed=False, inviter=RoomRole.MEMBER),
        "by oneself, after a removal": partial(joining, removed=True),
        "by an invite made before the removal": partial(joining, removed=True, inviter=RoomRole.OWNER, made=before),
        "by a MEMBER's invite, after a removal": partial(joining, removed=True, inviter=RoomRole.MEMBER),
        "by a MODERATOR's invite, after a removal": partial(joining, removed=True, inviter=RoomRole.MODERATOR),
    }
    enter = [(way, [enters(room) for room in rooms.values()]) for way, enters in ways.items()]
    leave = [
        ("any member but the last owner", [leaving(room, RoomRole.MEMBER, 1) for room in rooms.values()]),
        (
            "the last owner",
            [leaving(room, RoomRole.OWNER, 1) for room in (PUBLIC, PRIVATE, ARCHIVED)] + ["–"],
        ),
    ]
    return "## Coming and going\n\n" + table("enter", list(rooms), enter) + "\n" + table("leave", list(rooms), leave)


def to_message(who: str, deed: str, author: UUID) -> str:
    """What somebody may do in a public room to a message of their own or of somebody else."""
    asking, membership = actor_named(who)
    message = Message(room_id=ROOM_ID, author_id=author, body="hm", created_at=NOON)
    checks: dict[str, Callable[[], object]] = {
        "edit": lambda: messages.check_edit(asking, message, PUBLIC, membership, NOON),
        "delete": lambda: messages.check_delete(asking, message, PUBLIC, membership),
        "react to": lambda: messages.check_react(asking, message, PUBLIC, membership, NOON),
        "pin": lambda: messages.check_pin(asking, message, PUBLIC, membership),
    }
    return verdict(checks[deed])


def _messages() -> str:
    rows = [
        (f"{deed} {whose} message", [to_message(who, deed, author) for who in PEOPLE])
        for deed in ("edit", "delete", "react to", "pin")
        for whose, author in (("one's own", ME), ("another's", OTHER))
    ]
    return "## To messages in a public room\n\n" + table("", PEOPLE, rows)


def _server() -> str:
    people = [actor(), actor(admin=True)]
    administrators = {True: {ME, OTHER}, False: {OTHER}}
    audit = [verdict(partial(moderation.check_audit, one)) for one in people]
    rule = [verdict(partial(accounts.check_administrator, one, administrators[one.is_admin])) for one in people]
    last = verdict(partial(accounts.check_demotion, ME, {ME}))
    rows = [
        ("read the audit log", audit),
        ("change people's roles, ban and unban", rule),
        ("demote or ban the last administrator", [rule[0], last]),
    ]
    return "## On the whole server\n\n" + table("", ["MEMBER", "ADMIN"], rows)


def document() -> str:
    """The file's text."""
    return "\n".join(
        [
            INTRODUCTION,
            _rights("In a public room", PUBLIC),
            _rights("In a private room", PRIVATE),
            _rights("In an archived public room", ARCHIVED),
            _rights("In a direct conversation", DIRECT, ["outsider", RoomRole.MEMBER, "administrator"]),
            _deeds(),
            _messages(),
            _coming_and_going(),
            _server(),
        ]
    )


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 (that is what it is for)
