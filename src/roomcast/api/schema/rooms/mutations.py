"""Mutations of rooms, members and invites."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Concatenate, ParamSpec, TypeVar
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.errors import MutationPayload
from roomcast.api.schema.mutation import Clearable, Omittable, Reason, RoomId, UserId, describe, mutation
from roomcast.api.schema.rooms.invite_types import RoomInvite
from roomcast.api.schema.rooms.queries import room_or_none
from roomcast.api.schema.rooms.types import Room, RoomMember, RoomMembership
from roomcast.api.schema.scalars import Cursor
from roomcast.core.actor import Actor
from roomcast.core.audit import check_reason
from roomcast.core.db import Work
from roomcast.core.errors import Forbidden
from roomcast.core.ids import global_id, local_id
from roomcast.core.unchanged import UNCHANGED
from roomcast.rooms import actions, invites, members, models, policy
from roomcast.rooms.actions import NewRoom, RoomPatch
from roomcast.rooms.direct import open_direct_message
from roomcast.rooms.membership_changes import RoomChange

P = ParamSpec("P")


@strawberry.type
class RoomResult(MutationPayload):
    room: models.Room | None = strawberry.field(
        graphql_type=Room | None,
        default=None,
        description="The room after the change. Null if the viewer can no longer read it.",
    )
    cursor: Cursor | None = strawberry.field(
        default=None, description="The position of the event that this change caused. Null when nothing changed."
    )


Result = TypeVar("Result", bound=RoomResult)


@strawberry.type
class JoinedRoom(RoomResult):
    membership: models.Membership | None = strawberry.field(
        graphql_type=RoomMembership | None, default=None, description="The viewer's membership."
    )


@strawberry.type
class AddedMembers(RoomResult):
    members: list[models.Membership] | None = strawberry.field(
        graphql_type=list[RoomMember] | None,
        default=None,
        metadata={"items": policy.MAX_USERS_AT_ONCE},
        description="The new members. Users who were members before are not among them.",
    )


@strawberry.type
class RemovedMember(RoomResult):
    removed_user_id: strawberry.ID | None = strawberry.field(
        default=None, description="The user who is not a member any more, or was none."
    )


@strawberry.type
class ChangedMember(RoomResult):
    member: models.Membership | None = strawberry.field(
        graphql_type=RoomMember | None, default=None, description="The member after the change."
    )


@strawberry.type
class DeletedRoom(MutationPayload):
    deleted_room_id: strawberry.ID | None = strawberry.field(default=None, description="The id of the deleted room.")


@strawberry.type
class InviteResult(MutationPayload):
    invite: models.Invite | None = strawberry.field(
        graphql_type=RoomInvite | None, default=None, description="The invite after the change."
    )


@strawberry.type
class Mutation:
    @mutation
    async def create_room(
        self,
        info: Info,
        name: Annotated[str, describe("1 to 80 characters. Names of public rooms are unique.")],
        visibility: Annotated[
            models.RoomVisibility, describe("Who can read the room: every user, or its members only.")
        ] = models.RoomVisibility.PUBLIC,
        topic: Annotated[str | None, describe("One line, at most 250 characters.")] = None,
        description: Annotated[str | None, describe("What the room is for.")] = None,
        member_ids: Annotated[
            list[strawberry.ID] | None, describe("Users who become members at once, at most 100.")
        ] = None,
        idempotency_key: Annotated[
            UUID | None, describe("A new UUID for each room. A repeated call with the same key returns the same room.")
        ] = None,
    ) -> RoomResult:
        """Create a room that the viewer owns. With an idempotencyKey, repeated calls create only one room.

        Announces MemberChanged for each member. Errors: VALIDATION_FAILED, NOT_FOUND (an unknown user), CONFLICT
        (another public room has this name), FORBIDDEN (only administrators create rooms on this server).
        """
        actor, backend = info.context.actor, info.context.backend
        if not backend.members_may_create_rooms and not actor.is_admin:
            raise Forbidden("Only administrators may create rooms on this server.")
        members_ = [local_id("user", id_) for id_ in member_ids or ()]
        new = NewRoom(name, visibility, topic, description, members_, idempotency_key)
        return await change_room(info.context, actions.create_room, new)

    @mutation
    async def update_room(
        self,
        info: Info,
        room_id: RoomId,
        name: Annotated[Omittable[str], describe("The new name, 1 to 80 characters.")] = None,
        topic: Annotated[Clearable[str], describe("The new topic. Null removes it.")] = UNCHANGED,
        description: Annotated[Clearable[str], describe("The new description. Null removes it.")] = UNCHANGED,
        visibility: Annotated[
            Omittable[models.RoomVisibility], describe("PRIVATE ends the streams of users who are not members.")
        ] = None,
        slow_mode_seconds: Annotated[
            Omittable[int],
            describe("The least number of seconds between two messages of a member. 0 turns slow mode off."),
        ] = None,
    ) -> RoomResult:
        """Change a room. Owners only. Fields that are left out stay as they are.

        Announces RoomChanged. When a room becomes private, the streams of users who are not members end. Errors:
        VALIDATION_FAILED, NOT_FOUND, NOT_A_MEMBER, FORBIDDEN, ROOM_ARCHIVED, CONFLICT (another public room has this
        name).
        """
        patch = RoomPatch(name, topic, description, visibility, slow_mode_seconds)
        return await change_room(info.context, actions.update_room, local_id("room", room_id), patch)

    @mutation
    async def archive_room(self, info: Info, room_id: RoomId) -> RoomResult:
        """Make a room read-only. Its members can still read it.

        Announces RoomChanged. Errors: NOT_FOUND, NOT_A_MEMBER, FORBIDDEN.
        """
        return await change_room(info.context, actions.archive_room, local_id("room", room_id))

    @mutation
    async def unarchive_room(self, info: Info, room_id: RoomId) -> RoomResult:
        """Make an archived room writable again.

        Announces RoomChanged. Errors: NOT_FOUND, NOT_A_MEMBER, FORBIDDEN.
        """
        return await change_room(info.context, actions.unarchive_room, local_id("room", room_id))

    @mutation
    async def delete_room(self, info: Info, room_id: RoomId) -> DeletedRoom:
        """Delete a room with everything in it, permanently.

        Its streams end with StreamEnded, reason ROOM_DELETED. Errors: NOT_FOUND, NOT_A_MEMBER, FORBIDDEN.
        """
        context = info.context
        async with context.backend.db.work() as work:
            deleted_id = await actions.delete_room(work, context.actor, local_id("room", room_id))
        await context.reset_reads()
        return DeletedRoom(deleted_room_id=strawberry.ID(global_id("room", deleted_id)))

    @mutation
    async def open_direct_message(
        self,
        info: Info,
        user_ids: Annotated[list[strawberry.ID], describe("The other users. The viewer need not be among them.")],
    ) -> RoomResult:
        """Find or create a direct conversation. The same set of users always has the same room.

        The other users see a new one with its first message. Announces MemberChanged for each member of a new one.
        Errors: VALIDATION_FAILED, NOT_FOUND (an unknown user).
        """
        return await change_room(info.context, open_direct_message, [local_id("user", id_) for id_ in user_ids])

    @mutation(one_of=True)
    async def join_room(
        self,
        info: Info,
        room_id: Annotated[strawberry.ID | None, describe("A public room.")] = None,
        invite_code: Annotated[str | None, describe("An invite to a room, public or private.")] = None,
    ) -> JoinedRoom:
        """Join a public room by its id, or any room by an invite. Joining again changes nothing.

        Announces MemberChanged. Errors: NOT_FOUND, INVITE_INVALID, ROOM_ARCHIVED, FORBIDDEN (a direct conversation, or
        the viewer was removed from the room).
        """
        context = info.context
        if invite_code is not None:
            changed = await run_action(context, invites.redeem_invite, invite_code)
        else:
            changed = await run_action(context, members.join_room, local_id("room", room_id or ""))
        joined = await show_room(context, changed, JoinedRoom())
        joined.membership = await context.memberships.load((changed.room.id, context.actor.user_id))
        return joined

    @mutation
    async def leave_room(self, info: Info, room_id: RoomId) -> RoomResult:
        """End the viewer's membership. The room in the payload is null if the viewer can no longer read it.

        Announces MemberChanged. Errors: NOT_FOUND, NOT_A_MEMBER, FORBIDDEN (a direct conversation), CONFLICT (the last
        owner).
        """
        return await change_room(info.context, members.leave_room, local_id("room", room_id))

    @mutation
    async def add_members(
        self,
        info: Info,
        room_id: RoomId,
        user_ids: Annotated[list[strawberry.ID], describe("The users to add, at most 100.")],
        role: Annotated[
            models.RoomRole, describe("The role of the new members. Only owners give one above MEMBER.")
        ] = models.RoomRole.MEMBER,
    ) -> AddedMembers:
        """Add users to a room. Users who are members already keep their role.

        Announces MemberChanged for each new member. Errors: VALIDATION_FAILED, NOT_FOUND (the room or a user),
        NOT_A_MEMBER, FORBIDDEN, ROOM_ARCHIVED.
        """
        ids = [local_id("user", id_) for id_ in user_ids]
        changed = await run_action(info.context, members.add_members, local_id("room", room_id), ids, role)
        return await show_room(info.context, changed, AddedMembers(members=list(changed.members)))

    @mutation
    async def remove_member(self, info: Info, room_id: RoomId, user_id: UserId, reason: Reason = None) -> RemovedMember:
        """Remove a member of a lower role. The user can return only by an invite or addMembers.

        Announces MemberChanged. The user's streams of a private room end. Errors: VALIDATION_FAILED, NOT_FOUND,
        NOT_A_MEMBER, FORBIDDEN, CONFLICT (the last owner).
        """
        checked, room, user = check_reason(reason), local_id("room", room_id), local_id("user", user_id)
        changed = await run_action(info.context, members.remove_member, room, user, checked)
        removed_id = strawberry.ID(global_id("user", user)) if user else None
        return await show_room(info.context, changed, RemovedMember(removed_user_id=removed_id))

    @mutation
    async def set_member_role(
        self,
        info: Info,
        room_id: RoomId,
        user_id: UserId,
        role: Annotated[models.RoomRole, describe("The new role.")],
    ) -> ChangedMember:
        """Change the role of a member. Owners only.

        A room keeps at least one owner. An owner can only step down, or be demoted by an administrator. Announces
        MemberChanged. Errors: NOT_FOUND, NOT_A_MEMBER, FORBIDDEN, CONFLICT (the last owner).
        """
        room, user = local_id("room", room_id), local_id("user", user_id)
        changed = await run_action(info.context, members.set_member_role, room, user, role)
        return await show_room(info.context, changed, ChangedMember(member=changed.members[0]))

    @mutation
    async def create_invite(
        self,
        info: Info,
        room_id: RoomId,
        expires_in_seconds: Annotated[
            int | None,
            describe("How long the invite is valid, at most a year. Without it, the invite does not expire."),
        ] = None,
        max_uses: Annotated[
            int | None, describe("How often the invite can be used. Without it, there is no limit.")
        ] = None,
    ) -> InviteResult:
        """Create an invite to a room.

        Announces nothing. Errors: VALIDATION_FAILED, NOT_FOUND, NOT_A_MEMBER, FORBIDDEN, ROOM_ARCHIVED.
        """
        context, room = info.context, local_id("room", room_id)
        async with context.backend.db.work() as work:
            invite = await invites.create_invite(work, context.actor, room, expires_in_seconds, max_uses)
        await context.reset_reads()
        return InviteResult(invite=invite)

    @mutation
    async def revoke_invite(
        self, info: Info, code: Annotated[str, describe("The code of the invite.")]
    ) -> InviteResult:
        """Make an invite invalid: one of the viewer's own, or any to a room that the viewer moderates.

        Announces nothing. Errors: NOT_FOUND, NOT_A_MEMBER, FORBIDDEN.
        """
        context = info.context
        async with context.backend.db.work() as work:
            invite = await invites.revoke_invite(work, context.actor, code)
        await context.reset_reads()
        return InviteResult(invite=invite)


async def change_room(
    context: Context,
    action: Callable[Concatenate[Work, Actor, P], Awaitable[RoomChange]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> RoomResult:
    """Run an action on a room. The result has the room and the cursor of the change."""
    return await show_room(context, await run_action(context, action, *args, **kwargs), RoomResult())


async def run_action(
    context: Context,
    action: Callable[Concatenate[Work, Actor, P], Awaitable[RoomChange]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> RoomChange:
    """Run an action on a room in one transaction."""
    async with context.backend.db.work() as work:
        changed = await action(work, context.actor, *args, **kwargs)
    await context.reset_reads()
    return changed


async def show_room(context: Context, changed: RoomChange, result: Result) -> Result:
    """The result with the room, if the viewer can read it, and the cursor of the change."""
    result.room = await room_or_none(context, changed.room.id)
    if changed.seq is not None:
        result.cursor = Cursor(context.cursor(changed.room.id, changed.seq))
    return result
