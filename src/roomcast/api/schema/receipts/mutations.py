"""Mutations of the viewer's read marker and room preferences."""

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import MutationPayload, errors_in_payload
from roomcast.api.schema.receipts.inputs import MarkReadInput, SetRoomPreferencesInput
from roomcast.api.schema.rooms.mutations import RoomPayload
from roomcast.api.schema.rooms.types import RoomMembership
from roomcast.core.ids import local_id
from roomcast.receipts import actions
from roomcast.rooms import models
from roomcast.rooms.read_state import Preferences


@strawberry.type
class MarkReadPayload(MutationPayload):
    membership: models.Membership | None = strawberry.field(graphql_type=RoomMembership | None, default=None)


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(MarkReadPayload)
    async def mark_read(self, info: Info, input: MarkReadInput) -> MarkReadPayload:  # noqa: A002
        """Move the viewer's read marker to a message."""
        actor = info.context.actor
        room_id, message_id = local_id("room", input.room_id), local_id("msg", input.up_to_message_id)
        async with info.context.backend.db.work() as work:
            membership = await actions.mark_read(work, actor, room_id, message_id, force=input.force)
        await info.context.reset_reads()
        return MarkReadPayload(membership=membership)

    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def set_room_preferences(self, info: Info, input: SetRoomPreferencesInput) -> RoomPayload:  # noqa: A002
        """Change the viewer's notifications for a room, and whether it is a favourite."""
        actor = info.context.actor
        preferences = Preferences(
            input.notification_level,
            input.muted_until is not strawberry.UNSET,
            input.muted_until or None,
            input.favourite,
        )
        async with info.context.backend.db.work() as work:
            changed = await actions.set_room_preferences(work, actor, local_id("room", input.room_id), preferences)
        await info.context.reset_reads()
        return RoomPayload(room=changed.room)
