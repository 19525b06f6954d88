"""Mutations that mute members and report messages."""

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import AckPayload, errors_in_payload
from roomcast.api.schema.moderation.inputs import MuteMemberInput, ReportMessageInput
from roomcast.api.schema.rooms.mutations import RoomPayload, change_room
from roomcast.core.ids import local_id
from roomcast.moderation import actions


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(RoomPayload)
    async def mute_member(self, info: Info, input: MuteMemberInput) -> RoomPayload:  # noqa: A002
        """Mute a member of a lower role for some time. Sending fails with MUTED until then."""
        context = info.context
        room_id, user_id = local_id("room", input.room_id), local_id("user", input.user_id)
        return await change_room(context, actions.mute_member, room_id, user_id, input.seconds, input.reason)

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def report_message(self, info: Info, input: ReportMessageInput) -> AckPayload:  # noqa: A002
        """Report a message. Administrators find reports by `auditLog(filter: {action: "MESSAGE_REPORTED"})`."""
        context = info.context
        async with context.backend.db.work() as work:
            await actions.report_message(work, context.actor, local_id("msg", input.message_id), input.reason)
        await context.reset_reads()
        return AckPayload()
