"""Mutations of the viewer's read marker and room preferences."""

from datetime import datetime
from typing import Annotated

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.errors import MutationPayload
from roomcast.api.schema.mutation import Clearable, Omittable, RoomId, describe, mutation
from roomcast.api.schema.rooms.types import Room, RoomMembership
from roomcast.core.ids import local_id
from roomcast.core.unchanged import UNCHANGED
from roomcast.receipts import actions
from roomcast.receipts.actions import ReadStateChange
from roomcast.rooms import models
from roomcast.rooms.read_state import Preferences


@strawberry.type
class ReadStateResult(MutationPayload):
    room: models.Room | None = strawberry.field(graphql_type=Room | None, default=None, description="The room.")
    membership: models.Membership | None = strawberry.field(
        graphql_type=RoomMembership | None, default=None, description="The viewer's membership after the change."
    )


@strawberry.type
class Mutation:
    @mutation
    async def mark_read(
        self,
        info: Info,
        room_id: RoomId,
        up_to_message_id: Annotated[strawberry.ID, describe("The last message that the viewer has read.")],
        force: Annotated[bool, describe("Move the read marker backward too.")] = False,
    ) -> ReadStateResult:
        """Move the viewer's read marker to a message. It moves backward only with `force`.

        Announces UnreadChanged to the viewer, and ReadMarkerMoved in rooms of up to 100 members. Errors: NOT_FOUND,
        NOT_A_MEMBER.
        """
        context, room, message = info.context, local_id("room", room_id), local_id("msg", up_to_message_id)
        async with context.backend.db.work() as work:
            changed = await actions.mark_read(work, context.actor, room, message, force=force)
        return await _show(context, changed)

    @mutation
    async def set_room_preferences(
        self,
        info: Info,
        room_id: RoomId,
        notification_level: Annotated[
            Omittable[models.NotificationLevel], describe("Which messages notify the viewer.")
        ] = None,
        snoozed_until: Annotated[
            Clearable[datetime], describe("No notifications until then: the viewer's own snooze. Null ends it.")
        ] = UNCHANGED,
        favourite: Annotated[Omittable[bool], describe("Whether the room is one of the viewer's favourites.")] = None,
    ) -> ReadStateResult:
        """Change the viewer's notifications for a room, and whether it is a favourite.

        Fields that are left out stay as they are. Announces RoomListChanged to the viewer. Errors: VALIDATION_FAILED,
        NOT_FOUND, NOT_A_MEMBER.
        """
        context, preferences = info.context, Preferences(notification_level, snoozed_until, favourite)
        async with context.backend.db.work() as work:
            changed = await actions.set_room_preferences(work, context.actor, local_id("room", room_id), preferences)
        return await _show(context, changed)


async def _show(context: Context, changed: ReadStateChange) -> ReadStateResult:
    await context.reset_reads()
    context.memberships.prime((changed.room.id, context.actor.user_id), changed.membership)
    return ReadStateResult(room=changed.room, membership=changed.membership)
