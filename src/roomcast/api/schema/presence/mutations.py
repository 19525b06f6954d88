"""Mutations that set the viewer's presence and typing state."""

from typing import Annotated

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import MutationPayload
from roomcast.api.schema.accounts.types import Presence
from roomcast.api.schema.mutation import Clearable, RoomId, describe, mutation
from roomcast.core.ids import local_id
from roomcast.core.unchanged import UNCHANGED
from roomcast.presence import queries, registry
from roomcast.presence.registry import PresenceState
from roomcast.presence.status_updates import StatusUpdate


@strawberry.type
class PresenceResult(MutationPayload):
    presence: registry.Presence | None = strawberry.field(
        graphql_type=Presence | None, default=None, description="The viewer's presence, as other users see it."
    )


@strawberry.type
class Mutation:
    @mutation
    async def set_presence(
        self,
        info: Info,
        state: Annotated[
            Clearable[PresenceState],
            describe(
                "IDLE applies to this device until it sends ACTIVE or disconnects. OFFLINE hides the viewer on all "
                "devices, until this device sends ACTIVE or any device sends null. Null is the automatic state."
            ),
        ] = UNCHANGED,
        status_text: Annotated[Clearable[str], describe("At most 100 characters. Null removes the text.")] = UNCHANGED,
        status_emoji: Annotated[Clearable[str], describe("One emoji. Null removes it.")] = UNCHANGED,
    ) -> PresenceResult:
        """Set how other users see the viewer. Fields that are left out stay as they are.

        The server does not store it: clients repeat it after reconnecting. Announces the change to the presence
        streams of the viewer's rooms. Errors: VALIDATION_FAILED.
        """
        presence, actor = info.context.backend.presence, info.context.actor
        presence.set_presence(actor, StatusUpdate(state, status_text, status_emoji))
        return PresenceResult(presence=presence.registry.presence_of(actor.user_id))

    @mutation
    async def set_typing(
        self,
        info: Info,
        room_id: RoomId,
        typing: Annotated[bool, describe("False when the viewer stops before sending.")],
    ) -> None:
        """Tell a room that the viewer is typing. Clients repeat it every typingRefreshMs. Sending a message ends it.

        Announces TypingState to the typing streams of the room. Errors: NOT_FOUND, NOT_A_MEMBER, ROOM_ARCHIVED,
        READ_ONLY, MUTED.
        """
        context, actor = info.context, info.context.actor
        found_id = await context.read(queries.room_for_typing, actor, local_id("room", room_id), typing=typing)
        context.backend.presence.set_typing(actor, found_id, typing=typing)
