"""Mutations of rooms, members and invites."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Concatenate, ParamSpec

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.errors import AckPayload, MutationPayload, errors_in_payload
from roomcast.api.schema.rooms.inputs import (
    AddMembersInput,
    CreateInviteInput,
    CreateRoomInput,
    JoinRoomInput,
    OpenDirectMessageInput,
    RemoveMemberInput,
    RevokeInviteInput,
    RoomIdInput,
    SetMemberRoleInput,
    UpdateRoomInput,
)
from roomcast.api.schema.rooms.queries import room_or_none
from roomcast.api.schema.rooms.types import Room
from roomcast.api.schema.scalars import URL, Cursor
from roomcast.core.actor import Actor
from roomcast.core.audit import check_reason
from roomcast.core.db import Work
from roomcast.core.errors import Forbidden, InviteInvalid, ValidationFailed
from roomcast.core.ids import global_id, local_id
from roomcast.rooms import actions, invites, members, models
from roomcast.rooms.actions import NewRoom, RoomPatch
from roomcast.rooms.direct import open_direct_message
from roomcast.rooms.membership_changes import RoomChange

P = ParamSpec("P")


@strawberry.type
class RoomPayload(MutationPayload):
    room: models.Room | None = strawberry.field(
        graphql_type=Room | None,
        default=None,
        description="The room after the change. Null if the viewer can no longer read it.",
    )
    cursor: Cursor | None = strawberry.field(
        default=None, description="The position of the event that this change caused. Null when nothing changed."
    )


@strawberry.type
class DeleteRoomPayload(MutationPayload):
    deleted_room_id: strawberry.ID | None = None


@strawberry.type
class CreateInvitePayload(MutationPayload):
    code: str | None = None
    url: URL | None = None
    expires_at: datetime | None = None


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def create_room(self, info: Info, input: CreateRoomInput) -> RoomPayload:  # noqa: A002
        """Create a room that the viewer owns. With an idempotencyKey, repeated calls create only one room."""
        actor, backend = info.context.actor, info.context.backend
        if not backend.members_may_create_rooms and not actor.is_admin:
            raise Forbidden("Only administrators may create rooms on this server.")
        new = NewRoom(
            name=input.name,
            visibility=input.visibility,
            topic=input.topic,
            description=input.description,
            member_ids=[local_id("user", id_) for id_ in input.member_ids or ()],
            idempotency_key=input.idempotency_key,
        )
        return await change_room(info.context, actions.create_room, new)

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def update_room(self, info: Info, input: UpdateRoomInput) -> RoomPayload:  # noqa: A002
        """Owners only. When a room becomes private, the streams of users who are not members end."""
        patch = RoomPatch(
            name=input.name,
            topic=_patch_text(input.topic),
            description=_patch_text(input.description),
            visibility=input.visibility,
            slow_mode_seconds=input.slow_mode_seconds,
        )
        context, room_id = info.context, local_id("room", input.room_id)
        return await change_room(context, actions.update_room, room_id, patch)

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def archive_room(self, info: Info, input: RoomIdInput) -> RoomPayload:  # noqa: A002
        """Make a room read-only. Members can still read it."""
        context, room_id = info.context, local_id("room", input.room_id)
        return await change_room(context, actions.archive_room, room_id)

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def unarchive_room(self, info: Info, input: RoomIdInput) -> RoomPayload:  # noqa: A002
        """Make an archived room writable again."""
        context, room_id = info.context, local_id("room", input.room_id)
        return await change_room(context, actions.unarchive_room, room_id)

    @strawberry.mutation
    @errors_in_payload(DeleteRoomPayload)
    async def delete_room(self, info: Info, input: RoomIdInput) -> DeleteRoomPayload:  # noqa: A002
        """Delete a room with everything in it, permanently. All its streams end."""
        context = info.context
        async with context.backend.db.work() as work:
            room_id = await actions.delete_room(work, context.actor, local_id("room", input.room_id))
        await context.reset_reads()
        return DeleteRoomPayload(deleted_room_id=strawberry.ID(global_id("room", room_id)))

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def open_direct_message(self, info: Info, input: OpenDirectMessageInput) -> RoomPayload:  # noqa: A002
        """Find or create a direct conversation. The same set of users always has the same room."""
        context = info.context
        user_ids = [local_id("user", id_) for id_ in input.user_ids]
        return await change_room(context, open_direct_message, user_ids)

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def join_room(self, info: Info, input: JoinRoomInput) -> RoomPayload:  # noqa: A002
        """Join a public room by its id, or any room by an invite."""
        context = info.context
        _ = context.actor  # raises Unauthenticated before the input is checked
        room_id = local_id("room", input.room_id) if input.room_id is not None else None
        code = input.invite_code
        if code is None and input.room_id is None:
            raise ValidationFailed("A roomId or an inviteCode is required.", path=("input",))
        if code is None:
            return await change_room(context, members.join_room, room_id)
        if input.room_id is not None and room_id is None:
            raise InviteInvalid("This invite is for another room.", path=("input", "inviteCode"))
        return await change_room(context, invites.redeem_invite, code, room_id)

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def leave_room(self, info: Info, input: RoomIdInput) -> RoomPayload:  # noqa: A002
        """End the viewer's membership. The room in the payload is null if the viewer can no longer read it."""
        context, room_id = info.context, local_id("room", input.room_id)
        return await change_room(context, members.leave_room, room_id)

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def add_members(self, info: Info, input: AddMembersInput) -> RoomPayload:  # noqa: A002
        """Add up to 100 users. Only owners may assign a role above MEMBER."""
        context, room_id = info.context, local_id("room", input.room_id)
        user_ids = [local_id("user", id_) for id_ in input.user_ids]
        return await change_room(context, members.add_members, room_id, user_ids, input.role)

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def remove_member(self, info: Info, input: RemoveMemberInput) -> RoomPayload:  # noqa: A002
        """Remove a member of a lower role. The user can return only by an invite or addMembers."""
        context, reason = info.context, check_reason(input.reason)
        room_id, user_id = local_id("room", input.room_id), local_id("user", input.user_id)
        return await change_room(context, members.remove_member, room_id, user_id, reason)

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def set_member_role(self, info: Info, input: SetMemberRoleInput) -> RoomPayload:  # noqa: A002
        """Owners only.

        A room keeps at least one owner. An owner can only step down, or be demoted by an administrator.
        """
        context = info.context
        room_id, user_id = local_id("room", input.room_id), local_id("user", input.user_id)
        return await change_room(context, members.set_member_role, room_id, user_id, input.role)

    @strawberry.mutation
    @errors_in_payload(CreateInvitePayload)
    async def create_invite(self, info: Info, input: CreateInviteInput) -> CreateInvitePayload:  # noqa: A002
        """Create an invite code. Without a limit it can be used any number of times, without an expiry for ever."""
        context, room_id = info.context, local_id("room", input.room_id)
        async with context.backend.db.work() as work:
            invite = await invites.create_invite(work, context.actor, room_id, input.expires_in_seconds, input.max_uses)
        return CreateInvitePayload(
            code=invite.code, url=URL(f"{context.base_url}/?invite={invite.code}"), expires_at=invite.expires_at
        )

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def revoke_invite(self, info: Info, input: RevokeInviteInput) -> AckPayload:  # noqa: A002
        """Revoke an invite of the viewer, or any invite to a room that the viewer moderates."""
        context = info.context
        async with context.backend.db.work() as work:
            await invites.revoke_invite(work, context.actor, input.code)
        await context.reset_reads()
        return AckPayload()


async def change_room(
    context: Context,
    action: Callable[Concatenate[Work, Actor, P], Awaitable[RoomChange]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> RoomPayload:
    """Run an action on a room in one transaction.

    The payload has the room, if it is readable, and the change's cursor.
    """
    actor = context.actor
    async with context.backend.db.work() as work:
        changed = await action(work, actor, *args, **kwargs)
    await context.reset_reads()
    cursor = None if changed.seq is None else Cursor(context.cursor(changed.room.id, changed.seq))
    return RoomPayload(room=await room_or_none(context, changed.room.id), cursor=cursor)


def _patch_text(value: str | None) -> str | None:
    """The value for a RoomPatch: None if the field was omitted, an empty string for null."""
    return None if value is strawberry.UNSET else value or ""
