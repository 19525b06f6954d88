"""Who may do what in a room, and what it may be called. Pure: rows in, verdict out; `docs/permissions.md` is printed
from here, and so is what clients read as `viewerPermissions`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

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
from roomcast.rooms.models import FormerMember, Invite, Membership, Room, RoomKind, RoomRole, RoomVisibility

MAX_NAME, MAX_TOPIC, MAX_DESCRIPTION, MAX_NAME_KEY = 80, 250, 2000, 200
MAX_USERS_AT_ONCE = 100
MAX_DIRECT_MEMBERS = 20
MAX_SLOW_MODE_SECONDS = 6 * 60 * 60
MAX_INVITE_SECONDS = 365 * 24 * 60 * 60
MAX_INVITE_USES = 100_000


class Right(StrEnum):
    """What somebody may do in a room beyond reading it."""

    SEND = "send"
    INVITE = "invite and add people"
    MANAGE_MEMBERS = "mute and remove people"
    PIN = "pin messages"
    DELETE_OTHERS_MESSAGES = "delete others' messages"
    EDIT_ROOM = "edit the room"
    SET_ROLES = "change roles"
    ARCHIVE = "archive"
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
"""The least role that has each right."""

RANK = {RoomRole.READ_ONLY: 0, RoomRole.MEMBER: 1, RoomRole.MODERATOR: 2, RoomRole.OWNER: 3}

BLOCKED_WHEN_ARCHIVED = frozenset({Right.SEND, Right.INVITE, Right.PIN, Right.EDIT_ROOM})
"""What nobody does in an archived room."""


@dataclass(frozen=True, slots=True)
class Permissions:
    can_send: bool
    can_invite: bool
    can_edit_room: bool
    can_manage_members: bool
    can_pin: bool
    can_delete_others_messages: bool
    can_archive: bool
    can_upload: bool


# ------------------------------------------------------------------ who one is here


def may_read(actor: Actor, room: Room, membership: Membership | None) -> bool:
    """Members read, and every signed-in person reads what is public. An administrator is a stranger in private."""
    return membership is not None or room.visibility == RoomVisibility.PUBLIC


def is_room_admin(actor: Actor, room: Room) -> bool:
    """Whether the actor is an administrator to whom this room listens: the public ones do."""
    return actor.is_admin and room.visibility == RoomVisibility.PUBLIC


def effective_role(actor: Actor, room: Room, membership: Membership | None) -> RoomRole | None:
    """As what the actor acts in a room: their role, and as OWNER where they rule. None for outsiders."""
    return effective_role_of(room, membership, is_admin=actor.is_admin)


def effective_role_of(room: Room, membership: Membership | None, *, is_admin: bool) -> RoomRole | None:
    """As `standing`, for a person who is not the one acting."""
    if is_admin and room.visibility == RoomVisibility.PUBLIC:
        return RoomRole.OWNER
    return RoomRole(membership.role) if membership is not None else None


def check_right(actor: Actor, room: Room, membership: Membership | None, right: Right) -> RoomRole:
    """The standing that gives the right. Raises NotAMember, RoomArchived, ReadOnly, Forbidden."""
    role = effective_role(actor, room, membership)
    if role is None:
        raise NotAMember("join the room first")
    if right is Right.INVITE and room.kind == RoomKind.DIRECT:
        raise Forbidden("a direct conversation has the people it began with")
    if right in BLOCKED_WHEN_ARCHIVED:
        check_not_archived(room)
    if RANK[role] < RANK[MINIMUM_ROLE[right]]:
        raise ReadOnly("you may read here, not write") if right is Right.SEND else Forbidden(f"you may not {right}")
    return role


def has_right(actor: Actor, room: Room, membership: Membership | None, right: Right) -> bool:
    try:
        check_right(actor, room, membership, right)
    except Refused:
        return False
    return True


def permissions(actor: Actor, room: Room, membership: Membership | None, at: datetime) -> Permissions:
    """What the actor may do in the room at that moment, as clients are told."""

    def able(right: Right) -> bool:
        return has_right(actor, room, membership, right)

    speaks = may_send(actor, room, membership, at)
    return Permissions(
        can_send=speaks,
        can_invite=able(Right.INVITE),
        can_edit_room=able(Right.EDIT_ROOM),
        can_manage_members=able(Right.MANAGE_MEMBERS),
        can_pin=able(Right.PIN),
        can_delete_others_messages=able(Right.DELETE_OTHERS_MESSAGES),
        can_archive=able(Right.ARCHIVE),
        can_upload=speaks,
    )


# ------------------------------------------------------------------ speaking


def check_send(actor: Actor, room: Room, membership: Membership | None, at: datetime) -> Membership:
    """Only members speak, administrators too. Raises NotAMember, RoomArchived, ReadOnly, Muted."""
    member = check_member(membership)
    check_right(actor, room, member, Right.SEND)
    if member.muted_until is not None and member.muted_until > at:
        wait = round((member.muted_until - at).total_seconds() * 1000)
        raise Muted("a moderator has muted you here", retry_after_ms=wait)
    return member


def may_send(actor: Actor, room: Room, membership: Membership | None, at: datetime) -> bool:
    try:
        check_send(actor, room, membership, at)
    except Refused:
        return False
    return True


def check_not_archived(room: Room) -> None:
    if room.archived_at is not None:
        raise RoomArchived("this room is archived")


def check_member(membership: Membership | None) -> Membership:
    if membership is None:
        raise NotAMember("join the room first")
    return membership


# ------------------------------------------------------------------ coming and going


def check_join(
    room: Room, former: FormerMember | None, invite: Invite | None = None, inviter: RoomRole | None = None
) -> None:
    """Of a room the actor can see or was invited to. `inviter`: the standing that the invite's author has now.

    Raises Forbidden, RoomArchived.
    """
    if room.kind == RoomKind.DIRECT:
        raise Forbidden("a direct conversation has the people it began with")
    check_not_archived(room)
    if invite is None and room.visibility != RoomVisibility.PUBLIC:
        raise Forbidden("one enters a private room by invitation")
    if former is not None and former.removed and not _readmits(invite, inviter, former):
        raise Forbidden("you were removed from this room: ask one of its moderators for a new invite, or to add you")


def _readmits(invite: Invite | None, inviter: RoomRole | None, former: FormerMember) -> bool:
    """Whether the invite brings back a removed person: it is newer than the removal, and its author may remove."""
    if invite is None or inviter is None or former.removed_at is None:
        return False
    return invite.created_at > former.removed_at and RANK[inviter] >= RANK[MINIMUM_ROLE[Right.MANAGE_MEMBERS]]


def check_leave(room: Room, membership: Membership | None, owner_count: int) -> Membership:
    member = check_member(membership)
    if room.kind == RoomKind.DIRECT:
        raise Forbidden("a direct conversation cannot be left")
    check_not_last_owner(member, owner_count)
    return member


def check_not_last_owner(leaving: Membership, owner_count: int) -> None:
    """That the room has an owner without this one."""
    if leaving.role == RoomRole.OWNER and owner_count == 1:
        raise Conflict("the last owner hands the room over first")


def check_add(actor: Actor, room: Room, membership: Membership | None, role: RoomRole) -> RoomRole:
    """Nobody makes others more than MEMBER but those who change roles. The standing of who adds."""
    mine = check_right(actor, room, membership, Right.INVITE)
    if RANK[role] > RANK[RoomRole.MEMBER]:
        check_right(actor, room, membership, Right.SET_ROLES)
    return mine


def check_outranks(actor: Actor, room: Room, membership: Membership | None, other: Membership) -> None:
    """That the actor moderates here and stands above the other. Raises NotAMember, Forbidden."""
    mine = check_right(actor, room, membership, Right.MANAGE_MEMBERS)
    if other.user_id == actor.user_id:
        raise Forbidden("one does not moderate oneself")
    if RANK[mine] <= RANK[RoomRole(other.role)]:
        raise Forbidden("this person does not stand below you")


def check_remove(actor: Actor, room: Room, membership: Membership | None, other: Membership, owner_count: int) -> None:
    """As `check_over`; an administrator who rules here also removes an owner, as long as another one stays."""
    if other.role == RoomRole.OWNER and other.user_id != actor.user_id and is_room_admin(actor, room):
        check_not_last_owner(other, owner_count)
    else:
        check_outranks(actor, room, membership, other)


def check_set_role(
    actor: Actor, room: Room, membership: Membership | None, other: Membership, owner_count: int
) -> None:
    """An owner is unseated by itself or an administrator who rules here, and never as the last one."""
    check_right(actor, room, membership, Right.SET_ROLES)
    if other.role != RoomRole.OWNER:
        return
    if other.user_id != actor.user_id and not is_room_admin(actor, room):
        raise Forbidden("an owner steps down by themselves")
    check_not_last_owner(other, owner_count)


def returning_role(given: RoomRole, former: FormerMember | None, adder: RoomRole | None) -> RoomRole:
    """Who was made READ_ONLY stays it through leaving and coming back, unless somebody who changes roles adds them."""
    silenced = former is not None and former.role == RoomRole.READ_ONLY
    return RoomRole.READ_ONLY if silenced and adder != RoomRole.OWNER else given


# ------------------------------------------------------------------ invites


def check_invite(invite: Invite | None, at: datetime) -> Invite:
    """Unknown, revoked, expired, used up: one answer for all."""
    if (
        invite is None
        or invite.revoked_at is not None
        or (invite.expires_at is not None and invite.expires_at <= at)
        or (invite.max_uses is not None and invite.uses >= invite.max_uses)
    ):
        raise InviteInvalid("this invite is not valid (any more)", path=("input", "inviteCode"))
    return invite


def check_invite_terms(expires_in_seconds: int | None, max_uses: int | None) -> None:
    if expires_in_seconds is not None and not 1 <= expires_in_seconds <= MAX_INVITE_SECONDS:
        raise ValidationFailed("an invite lasts from a second to a year", path=("input", "expiresInSeconds"))
    if max_uses is not None and not 1 <= max_uses <= MAX_INVITE_USES:
        raise ValidationFailed(f"an invite has 1 to {MAX_INVITE_USES} uses", path=("input", "maxUses"))


def check_revoke_invite(actor: Actor, room: Room, membership: Membership | None, invite: Invite) -> None:
    """One's own, or anybody's as a moderator."""
    if invite.created_by_id != actor.user_id:
        check_right(actor, room, membership, Right.MANAGE_MEMBERS)


# ------------------------------------------------------------------ what a room says of itself


def check_name(name: str) -> str:
    """The name as it will be stored."""
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= MAX_NAME or not is_printable(name) or not 1 <= len(fold(tidy)) <= MAX_NAME_KEY:
        raise ValidationFailed(f"a room's name has 1 to {MAX_NAME} printable characters", path=("input", "name"))
    return tidy


def check_topic(topic: str | None) -> str | None:
    if topic is not None and (len(topic) > MAX_TOPIC or not is_printable(topic)):
        raise ValidationFailed(f"a topic has at most {MAX_TOPIC} printable characters", path=("input", "topic"))
    return topic or None


def check_description(description: str | None) -> str | None:
    if description is not None and (len(description) > MAX_DESCRIPTION or not is_printable(description, lines=True)):
        raise ValidationFailed(
            f"a description has at most {MAX_DESCRIPTION} printable characters", path=("input", "description")
        )
    return description or None


def check_slow_mode(seconds: int) -> int:
    if not 0 <= seconds <= MAX_SLOW_MODE_SECONDS:
        raise ValidationFailed(
            f"slow mode takes 0 to {MAX_SLOW_MODE_SECONDS} seconds", path=("input", "slowModeSeconds")
        )
    return seconds
