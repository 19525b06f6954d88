"""The door of membership: coming, going, roles, and invites for people outside."""

from datetime import datetime
from typing import NamedTuple

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import Info
from roomcast.api.errors import AckPayload, MutationPayload, refusable
from roomcast.api.schema.accounts.accounts import User
from roomcast.api.schema.rooms.rooms import RoomIdInput, RoomPayload, room_payload
from roomcast.api.schema.scalars import URL
from roomcast.core.audit import check_reason
from roomcast.core.errors import InviteInvalid, ValidationFailed
from roomcast.core.ids import global_id, local_id
from roomcast.rooms import invites, members, models


@strawberry.input
class JoinRoomInput:
    room_id: strawberry.ID | None = None
    invite_code: str | None = None


@strawberry.input
class AddMembersInput:
    room_id: strawberry.ID
    user_ids: list[strawberry.ID]
    role: models.RoomRole = models.RoomRole.MEMBER


@strawberry.input
class RemoveMemberInput:
    room_id: strawberry.ID
    user_id: strawberry.ID
    reason: str | None = None


@strawberry.input
class SetMemberRoleInput:
    room_id: strawberry.ID
    user_id: strawberry.ID
    role: models.RoomRole


@strawberry.input
class CreateInviteInput:
    room_id: strawberry.ID
    expires_in_seconds: int | None = None
    max_uses: int | None = None


@strawberry.input
class RevokeInviteInput:
    code: str


@strawberry.type
class CreateInvitePayload(MutationPayload):
    code: str | None = None
    url: URL | None = None
    expires_at: datetime | None = None


class Preview(NamedTuple):
    invite: models.Invite
    room: models.Room


@strawberry.type(description="What an invite shows to people outside, signed in or not.")
class InvitePreview:
    @strawberry.field
    def code(self, preview: strawberry.Parent[Preview]) -> str:
        return preview.invite.code

    @strawberry.field
    def room_id(self, preview: strawberry.Parent[Preview]) -> strawberry.ID:
        return strawberry.ID(global_id("room", preview.room.id))

    @strawberry.field
    def room_name(self, preview: strawberry.Parent[Preview]) -> str | None:
        return preview.room.name

    @strawberry.field(graphql_type=User | None)
    async def inviter(self, preview: strawberry.Parent[Preview], info: Info) -> account_rows.User | None:
        return await info.context.users.load(preview.invite.created_by_id)

    @strawberry.field
    def expires_at(self, preview: strawberry.Parent[Preview]) -> datetime | None:
        return preview.invite.expires_at

    @strawberry.field
    def uses_left(self, preview: strawberry.Parent[Preview]) -> int | None:
        limit = preview.invite.max_uses
        return None if limit is None else limit - preview.invite.uses


@strawberry.type
class Query:
    @strawberry.field(
        graphql_type=InvitePreview | None,
        description="Where an invite leads; null when it is not valid (any more). Needs no sign-in.",
    )
    async def invite(self, info: Info, code: str) -> Preview | None:
        try:
            async with info.context.snapshot.session() as session:
                found = await invites.open_invite(session, code)
        except InviteInvalid:
            return None
        return Preview(found.invite, found.room)


@strawberry.type
class Mutation:
    @strawberry.mutation
    @refusable(RoomPayload)
    async def join_room(self, info: Info, input: JoinRoomInput) -> RoomPayload:  # noqa: A002
        """Become a member of a public room by its id, or of any room by an invite to it."""
        context, actor = info.context, info.context.actor
        room_id = local_id("room", input.room_id) if input.room_id is not None else None
        code = input.invite_code
        if code is None and input.room_id is None:
            raise ValidationFailed("name the room, or give an invite to it", path=("input",))
        if code is None:
            return await room_payload(context, lambda work: members.join_room(work, actor, room_id))
        if input.room_id is not None and room_id is None:
            raise InviteInvalid("this invite leads elsewhere", path=("input", "inviteCode"))
        return await room_payload(context, lambda work: invites.redeem_invite(work, actor, code, room_id))

    @strawberry.mutation
    @refusable(RoomPayload)
    async def leave_room(self, info: Info, input: RoomIdInput) -> RoomPayload:  # noqa: A002
        """Be no member any more. The room is null afterwards if the viewer cannot read it any more."""
        context, room_id = info.context, local_id("room", input.room_id)
        return await room_payload(context, lambda work: members.leave_room(work, context.actor, room_id))

    @strawberry.mutation
    @refusable(RoomPayload)
    async def add_members(self, info: Info, input: AddMembersInput) -> RoomPayload:  # noqa: A002
        """Make people members, at most 100 at once. Roles above MEMBER are an owner's to give."""
        context, room_id = info.context, local_id("room", input.room_id)
        user_ids = [local_id("user", id_) for id_ in input.user_ids]
        return await room_payload(
            context, lambda work: members.add_members(work, context.actor, room_id, user_ids, input.role)
        )

    @strawberry.mutation
    @refusable(RoomPayload)
    async def remove_member(self, info: Info, input: RemoveMemberInput) -> RoomPayload:  # noqa: A002
        """Moderators remove people below themselves; they come back only by an invite or addMembers."""
        context, reason = info.context, check_reason(input.reason)
        room_id, user_id = local_id("room", input.room_id), local_id("user", input.user_id)
        return await room_payload(
            context, lambda work: members.remove_member(work, context.actor, room_id, user_id, reason)
        )

    @strawberry.mutation
    @refusable(RoomPayload)
    async def set_member_role(self, info: Info, input: SetMemberRoleInput) -> RoomPayload:  # noqa: A002
        """Owners only. A room always keeps one, and an owner steps down by themselves."""
        context = info.context
        room_id, user_id = local_id("room", input.room_id), local_id("user", input.user_id)
        return await room_payload(
            context, lambda work: members.set_member_role(work, context.actor, room_id, user_id, input.role)
        )

    @strawberry.mutation
    @refusable(CreateInvitePayload)
    async def create_invite(self, info: Info, input: CreateInviteInput) -> CreateInvitePayload:  # noqa: A002
        """A code that admits whoever holds it, without end and limit where none are given."""
        context, room_id = info.context, local_id("room", input.room_id)
        async with context.backend.db.work() as work:
            invite = await invites.create_invite(work, context.actor, room_id, input.expires_in_seconds, input.max_uses)
        return CreateInvitePayload(
            code=invite.code, url=URL(f"{context.address}/?invite={invite.code}"), expires_at=invite.expires_at
        )

    @strawberry.mutation
    @refusable(AckPayload)
    async def revoke_invite(self, info: Info, input: RevokeInviteInput) -> AckPayload:  # noqa: A002
        """The code admits nobody any more. One's own, or anybody's as a moderator of the room."""
        context = info.context
        async with context.backend.db.work() as work:
            await invites.revoke_invite(work, context.actor, input.code)
        await context.changed()
        return AckPayload()
