"""The door to changing rooms: making them, what they say of themselves, their end, and direct conversations."""

from uuid import UUID

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import MutationPayload, refusable
from roomcast.api.schema.rooms.rooms import RoomIdInput, RoomPayload, room_payload
from roomcast.core.errors import Forbidden
from roomcast.core.ids import global_id, local_id
from roomcast.rooms import actions, models
from roomcast.rooms.actions import NewRoom, RoomPatch
from roomcast.rooms.direct import open_direct_message


@strawberry.input
class CreateRoomInput:
    name: str
    visibility: models.RoomVisibility = models.RoomVisibility.PUBLIC
    topic: str | None = None
    description: str | None = None
    member_ids: list[strawberry.ID] | None = None
    idempotency_key: UUID | None = None


@strawberry.input
class UpdateRoomInput:
    """What is left out stays as it is. Null takes topic and description away; the rest cannot be nothing."""

    room_id: strawberry.ID
    name: str | None = None
    topic: str | None = strawberry.UNSET
    description: str | None = strawberry.UNSET
    visibility: models.RoomVisibility | None = None
    slow_mode_seconds: int | None = strawberry.field(
        default=None, description="The pause between two messages of one member; 0 ends slow mode."
    )


@strawberry.input
class OpenDirectMessageInput:
    user_ids: list[strawberry.ID]


@strawberry.type
class DeleteRoomPayload(MutationPayload):
    deleted_room_id: strawberry.ID | None = None


@strawberry.type
class Mutation:
    @strawberry.mutation
    @refusable(RoomPayload)
    async def create_room(self, info: Info, input: CreateRoomInput) -> RoomPayload:  # noqa: A002
        """A room owned by the viewer. With an idempotencyKey, however often it is sent, one room."""
        actor, backend = info.context.actor, info.context.backend
        if not backend.everyone_creates_rooms and not actor.is_admin:
            raise Forbidden("only administrators create rooms on this server")
        new = NewRoom(
            name=input.name,
            visibility=input.visibility,
            topic=input.topic,
            description=input.description,
            member_ids=[local_id("user", id_) for id_ in input.member_ids or ()],
            idempotency_key=input.idempotency_key,
        )
        return await room_payload(info.context, lambda work: actions.create_room(work, actor, new))

    @strawberry.mutation
    @refusable(RoomPayload)
    async def update_room(self, info: Info, input: UpdateRoomInput) -> RoomPayload:  # noqa: A002
        """Owners only. A room made private ends the streams of those who are no members."""
        patch = RoomPatch(
            name=input.name,
            topic=_text(input.topic),
            description=_text(input.description),
            visibility=input.visibility,
            slow_mode_seconds=input.slow_mode_seconds,
        )
        context, room_id = info.context, local_id("room", input.room_id)
        return await room_payload(context, lambda work: actions.update_room(work, context.actor, room_id, patch))

    @strawberry.mutation
    @refusable(RoomPayload)
    async def archive_room(self, info: Info, input: RoomIdInput) -> RoomPayload:  # noqa: A002
        """Close the room for writing; it stays readable."""
        context, room_id = info.context, local_id("room", input.room_id)
        return await room_payload(context, lambda work: actions.archive_room(work, context.actor, room_id))

    @strawberry.mutation
    @refusable(RoomPayload)
    async def unarchive_room(self, info: Info, input: RoomIdInput) -> RoomPayload:  # noqa: A002
        """Open an archived room again."""
        context, room_id = info.context, local_id("room", input.room_id)
        return await room_payload(context, lambda work: actions.unarchive_room(work, context.actor, room_id))

    @strawberry.mutation
    @refusable(DeleteRoomPayload)
    async def delete_room(self, info: Info, input: RoomIdInput) -> DeleteRoomPayload:  # noqa: A002
        """Everything in it is gone for good, and every stream of it ends."""
        context = info.context
        async with context.backend.db.work() as work:
            gone = await actions.delete_room(work, context.actor, local_id("room", input.room_id))
        await context.changed()
        return DeleteRoomPayload(deleted_room_id=strawberry.ID(global_id("room", gone)))

    @strawberry.mutation
    @refusable(RoomPayload)
    async def open_direct_message(self, info: Info, input: OpenDirectMessageInput) -> RoomPayload:  # noqa: A002
        """Find or create: the same set of people always yields the same room."""
        context = info.context
        user_ids = [local_id("user", id_) for id_ in input.user_ids]
        return await room_payload(context, lambda work: open_direct_message(work, context.actor, user_ids))


def _text(given: str | None) -> str | None:
    """What a patch is told: None for what was left out, nothing for null."""
    return None if given is strawberry.UNSET else given or ""
