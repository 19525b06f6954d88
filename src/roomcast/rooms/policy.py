"""Who may do what in a room, and the limits of its fields. Pure functions: they take rows and raise or return.

`docs/permissions.md` is generated from here, and so is what clients read as `viewerPermissions`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from roomcast.core.actor import Actor
from roomcast.core.errors import (
    Conflict,
    Forbidden,
    InviteInvalid,
    Muted,
    NotAMember,
    ReadOnly,
    Refused,
    RoomArchived,
    ValidationFailed,
)
from roomcast.core.text_folding import fold, is_printable
from roomcast.rooms.models import (
    FormerMember,
    Invite,
    Membership,
    MembershipRow,
    Room,
    RoomKind,
    RoomRole,
    RoomRow,
    RoomVisibility,
)

Member = TypeVar("Member", bound=MembershipRow)

MAX_NAME, MAX_TOPIC, MAX_DESCRIPTION, MAX_NAME_KEY = 80, 250, 2000, 200
"""Characters. `MAX_NAME_KEY`: of the folded name."""
MAX_USERS_AT_ONCE = 100
MAX_DIRECT_MEMBERS = 20
MAX_SLOW_MODE_SECONDS = 6 * 60 * 60
MAX_INVITE_SECONDS = 365 * 24 * 60 * 60
MAX_INVITE_USES = 100_000


class Right(StrEnum):
    """What somebody may do in a room beyond reading it. Error messages and docs/permissions.md show the value."""

    SEND = "send"
    INVITE = "invite and add users"
    MANAGE_MEMBERS = "mute and remove members"
    PIN = "pin messages"
    DELETE_OTHERS_MESSAGES = "delete others' messages"
    EDIT_ROOM = "edit the room"
    SET_ROLES = "change roles"
    ARCHIVE = "archive the room"
    DELETE_ROOM = "delete the room"


MINIMUM_ROLE: dict[Right, RoomRole] = {
    Right.SEND: RoomRole.MEMBER,
    Right.INVITE: RoomRole.MEMBER,
    Right.MANAGE_MEMBERS: RoomRole.MODERATOR,
    Right.PIN: RoomRole.MODERATOR,
    Right.DELETE_OTHERS_MESSAGES: RoomRole.MODERATOR,
    Right.EDIT_ROOM: RoomRole.OWNER,
    Right.SET_ROLES: RoomRole.OWNER,
    Right.ARCHIVE: RoomRole.OWNER,
    Right.DELETE_ROOM: RoomRole.OWNER,
}
"""The lowest role that has each right."""

RANK = {RoomRole.READ_ONLY: 0, RoomRole.MEMBER: 1, RoomRole.MODERATOR: 2, RoomRole.OWNER: 3}

BLOCKED_WHEN_ARCHIVED = frozenset({Right.SEND, Right.INVITE, Right.PIN, Right.EDIT_ROOM})
"""Rights that nobody has in an archived room."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """`viewerPermissions` of the API."""

    can_send: bool
    can_invite: bool
    can_edit_room: bool
    can_manage_members: bool
    can_pin: bool
    can_delete_others_messages: bool
    can_archive: bool
    can_upload: bool


# ------------------------------------------------------------------ roles and rights


def may_read(actor: Actor, room: RoomRow, membership: MembershipRow | None) -> bool:
    """Members can read a room, and every signed-in user can read a public one. Administrators have no access to private
    rooms."""
    return membership is not None or room.visibility == RoomVisibility.PUBLIC


def is_room_admin(actor: Actor, room: RoomRow) -> bool:
    """Whether the actor is an administrator with an owner's rights in this room: only in public rooms."""
    return actor.is_admin and room.visibility == RoomVisibility.PUBLIC


def effective_role(actor: Actor, room: RoomRow, membership: MembershipRow | None) -> RoomRole | None:
    """The role that the actor's rights follow from: OWNER for administrators in public rooms, otherwise the role of the
    membership. None for users who are not members."""
    return effective_role_of(room, membership, is_admin=actor.is_admin)


def effective_role_of(room: RoomRow, membership: MembershipRow | None, *, is_admin: bool) -> RoomRole | None:
    """As `effective_role`, for a user who is not the actor."""
    if is_admin and room.visibility == RoomVisibility.PUBLIC:
        return RoomRole.OWNER
    return RoomRole(membership.role) if membership is not None else None


def is_allowed(check: Callable[[], object]) -> bool:
    """Whether the check passes, for callers that need no error."""
    try:
        check()
    except Refused:
        return False
    return True


def check_right(actor: Actor, room: RoomRow, membership: MembershipRow | None, right: Right) -> RoomRole:
    """The effective role that has the right. Raises NotAMember, RoomArchived, ReadOnly, Forbidden."""
    role = effective_role(actor, room, membership)
    if role is None:
        raise NotAMember("You are not a member of this room. Join it first.")
    if right is Right.INVITE and room.kind == RoomKind.DIRECT:
        raise Forbidden("The members of a direct conversation cannot be changed. Open a new one.")
    if right in BLOCKED_WHEN_ARCHIVED:
        check_not_archived(room)
    if RANK[role] < RANK[MINIMUM_ROLE[right]]:
        if right is Right.SEND:
            raise ReadOnly("You have read-only access to this room. Ask an owner to change your role.")
        raise Forbidden(f"Your role in this room does not allow you to {right}.")
    return role


def has_right(actor: Actor, room: RoomRow, membership: MembershipRow | None, right: Right) -> bool:
    return is_allowed(lambda: check_right(actor, room, membership, right))


def permissions(actor: Actor, room: Room, membership: Membership | None, at: datetime) -> Permissions:
    """What the actor may do in the room at that moment."""

    def has(right: Right) -> bool:
        return has_right(actor, room, membership, right)

    sends = may_send(actor, room, membership, at)
    return Permissions(
        can_send=sends,
        can_invite=has(Right.INVITE),
        can_edit_room=has(Right.EDIT_ROOM),
        can_manage_members=has(Right.MANAGE_MEMBERS),
        can_pin=has(Right.PIN),
        can_delete_others_messages=has(Right.DELETE_OTHERS_MESSAGES),
        can_archive=has(Right.ARCHIVE),
        can_upload=sends,
    )


# ------------------------------------------------------------------ sending


def check_send(actor: Actor, room: RoomRow, membership: Member | None, at: datetime) -> Member:
    """Only members send, administrators included. Raises NotAMember, RoomArchived, ReadOnly, Muted."""
    member = check_member(membership)
    check_right(actor, room, member, Right.SEND)
    if member.muted_until is not None and member.muted_until > at:
        wait = round((member.muted_until - at).total_seconds() * 1000)
        raise Muted("A moderator has muted you in this room. Try again when the mute ends.", retry_after_ms=wait)
    return member


def may_send(actor: Actor, room: RoomRow, membership: MembershipRow | None, at: datetime) -> bool:
    return is_allowed(lambda: check_send(actor, room, membership, at))


def check_not_archived(room: RoomRow) -> None:
    if room.archived_at is not None:
        raise RoomArchived("This room is archived. Its owners can unarchive it.")


def check_member(membership: Member | None) -> Member:
    if membership is None:
        raise NotAMember("You are not a member of this room. Join it first.")
    return membership


# ------------------------------------------------------------------ joining, leaving, other members


def check_join(
    room: Room, former: FormerMember | None, invite: Invite | None = None, inviter: RoomRole | None = None
) -> None:
    """Whether the actor, who can read the room or has an invite to it, may join.

    `inviter`: the effective role of the invite's creator now. Raises Forbidden, RoomArchived.
    """
    if room.kind == RoomKind.DIRECT:
        raise Forbidden("The members of a direct conversation cannot be changed. Open a new one.")
    check_not_archived(room)
    if invite is None and room.visibility != RoomVisibility.PUBLIC:
        raise Forbidden("This room is private. Ask a member for an invite.")
    if former is None or not former.removed:
        return
    # An invite readmits a removed member if it is newer than the removal, and its creator may remove members.
    is_newer = invite is not None and former.removed_at is not None and invite.created_at > former.removed_at
    if not is_newer or inviter is None or RANK[inviter] < RANK[MINIMUM_ROLE[Right.MANAGE_MEMBERS]]:
        raise Forbidden("You were removed from this room. Ask one of its moderators for a new invite, or to add you.")


def check_leave(room: Room, membership: Membership | None, owner_count: int) -> Membership:
    """The membership that may end. Raises NotAMember, Forbidden, Conflict (the last owner)."""
    member = check_member(membership)
    if room.kind == RoomKind.DIRECT:
        raise Forbidden("You cannot leave a direct conversation.")
    check_not_last_owner(member, owner_count)
    return member


def check_not_last_owner(leaving: Membership, owner_count: int) -> None:
    """That the room has another owner. Raises Conflict."""
    if leaving.role == RoomRole.OWNER and owner_count == 1:
        raise Conflict("This is the last owner of the room. Make another member an owner first.")


def check_add(actor: Actor, room: Room, membership: Membership | None, role: RoomRole) -> RoomRole:
    """Members add members; only owners add somebody with a higher role than MEMBER. Returns the actor's effective
    role."""
    role_here = check_right(actor, room, membership, Right.INVITE)
    if RANK[role] > RANK[RoomRole.MEMBER]:
        check_right(actor, room, membership, Right.SET_ROLES)
    return role_here


def check_outranks(actor: Actor, room: Room, membership: Membership | None, other: Membership) -> None:
    """That the actor moderates here and has a higher role than the other. Raises NotAMember, Forbidden."""
    role_here = check_right(actor, room, membership, Right.MANAGE_MEMBERS)
    if other.user_id == actor.user_id:
        raise Forbidden("You cannot moderate yourself.")
    if RANK[role_here] <= RANK[RoomRole(other.role)]:
        raise Forbidden("You can moderate only members with a lower role than yours.")


def check_remove(actor: Actor, room: Room, membership: Membership | None, other: Membership, owner_count: int) -> None:
    """As `check_outranks`. In public rooms an administrator also removes an owner who is not the last one."""
    if other.role == RoomRole.OWNER and other.user_id != actor.user_id and is_room_admin(actor, room):
        check_not_last_owner(other, owner_count)
    else:
        check_outranks(actor, room, membership, other)


def check_set_role(
    actor: Actor, room: Room, membership: Membership | None, other: Membership, owner_count: int
) -> None:
    """Only an owner themselves or an administrator of a public room changes an owner's role, and never the last
    owner's."""
    check_right(actor, room, membership, Right.SET_ROLES)
    if other.role != RoomRole.OWNER:
        return
    if other.user_id != actor.user_id and not is_room_admin(actor, room):
        raise Forbidden("Only the owner themselves can give up this role.")
    check_not_last_owner(other, owner_count)


def returning_role(given: RoomRole, former: FormerMember | None, adder: RoomRole | None) -> RoomRole:
    """The role of a user who joins or is added. A user who left as READ_ONLY stays READ_ONLY unless an owner adds
    them."""
    was_read_only = former is not None and former.role == RoomRole.READ_ONLY
    return RoomRole.READ_ONLY if was_read_only and adder != RoomRole.OWNER else given


# ------------------------------------------------------------------ invites


def check_invite(invite: Invite | None, at: datetime) -> Invite:
    """The invite, if it is valid. Unknown, revoked, expired and used up invites get the same answer."""
    if (
        invite is None
        or invite.revoked_at is not None
        or (invite.expires_at is not None and invite.expires_at <= at)
        or (invite.max_uses is not None and invite.uses >= invite.max_uses)
    ):
        raise InviteInvalid(
            "This invite is not valid, or not any more. Ask for a new one.", path=("input", "inviteCode")
        )
    return invite


def check_invite_terms(expires_in_seconds: int | None, max_uses: int | None) -> None:
    if expires_in_seconds is not None and not 1 <= expires_in_seconds <= MAX_INVITE_SECONDS:
        raise ValidationFailed(
            f"An invite can last 1 to {MAX_INVITE_SECONDS} seconds (one year).", path=("input", "expiresInSeconds")
        )
    if max_uses is not None and not 1 <= max_uses <= MAX_INVITE_USES:
        raise ValidationFailed(f"An invite can have 1 to {MAX_INVITE_USES} uses.", path=("input", "maxUses"))


def may_list_invites(actor: Actor, room: Room, membership: Membership | None) -> bool:
    """Moderators see all invites of the room."""
    return has_right(actor, room, membership, Right.MANAGE_MEMBERS)


def may_read_invite(actor: Actor, room: Room, membership: Membership | None, invite: Invite) -> bool:
    """Users see their own invites, moderators all of the room."""
    return invite.created_by_id == actor.user_id or may_list_invites(actor, room, membership)


def check_revoke_invite(actor: Actor, room: Room, membership: Membership | None, invite: Invite) -> None:
    """Users revoke their own invites, moderators all of the room."""
    if invite.created_by_id != actor.user_id:
        check_right(actor, room, membership, Right.MANAGE_MEMBERS)


# ------------------------------------------------------------------ fields of a room


def check_name(name: str) -> str:
    """The name as it is stored, with single spaces. Raises ValidationFailed."""
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= MAX_NAME or not is_printable(name) or not 1 <= len(fold(tidy)) <= MAX_NAME_KEY:
        raise ValidationFailed(f"A room name has 1 to {MAX_NAME} printable characters.", path=("input", "name"))
    return tidy


def check_topic(topic: str | None) -> str | None:
    if topic is not None and (len(topic) > MAX_TOPIC or not is_printable(topic)):
        raise ValidationFailed(
            f"A topic has at most {MAX_TOPIC} printable characters on one line.", path=("input", "topic")
        )
    return topic or None


def check_description(description: str | None) -> str | None:
    if description is not None and (len(description) > MAX_DESCRIPTION or not is_printable(description, lines=True)):
        raise ValidationFailed(
            f"A description has at most {MAX_DESCRIPTION} printable characters.", path=("input", "description")
        )
    return description or None


def check_slow_mode(seconds: int) -> int:
    if not 0 <= seconds <= MAX_SLOW_MODE_SECONDS:
        raise ValidationFailed(
            f"Slow mode can be 0 (off) to {MAX_SLOW_MODE_SECONDS} seconds (6 hours).", path=("input", "slowModeSeconds")
        )
    return seconds
