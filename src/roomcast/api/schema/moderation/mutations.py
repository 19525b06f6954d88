"""Mutations that mute members and report messages."""

from typing import Annotated

import strawberry

from roomcast.api.context import Info
from roomcast.api.schema.mutation import MessageId, Reason, RoomId, UserId, describe, mutation
from roomcast.api.schema.rooms.mutations import ChangedMember, run_action, show_room
from roomcast.core.ids import local_id
from roomcast.moderation import actions


@strawberry.type
class Mutation:
    @mutation
    async def mute_member(
        self,
        info: Info,
        room_id: RoomId,
        user_id: UserId,
        seconds: Annotated[int, describe("The duration of the mute. 0 ends a mute.")],
        reason: Reason = None,
    ) -> ChangedMember:
        """Mute a member of a lower role for some time. Sending fails with MUTED until then.

        Announces MemberChanged. Errors: VALIDATION_FAILED, NOT_FOUND, NOT_A_MEMBER, FORBIDDEN.
        """
        room, user = local_id("room", room_id), local_id("user", user_id)
        changed = await run_action(info.context, actions.mute_member, room, user, seconds, reason)
        return await show_room(info.context, changed, ChangedMember(member=changed.members[0]))

    @mutation
    async def report_message(
        self,
        info: Info,
        message_id: MessageId,
        reason: Annotated[str, describe("What is wrong with the message. Administrators read it in the audit log.")],
    ) -> None:
        """Report a message. Administrators find reports by `auditLog(filter: {action: "MESSAGE_REPORTED"})`.

        A second report by the same user adds nothing. Announces nothing. Errors: VALIDATION_FAILED, NOT_FOUND.
        """
        context = info.context
        async with context.backend.db.work() as work:
            await actions.report_message(work, context.actor, local_id("msg", message_id), reason)
        await context.reset_reads()
