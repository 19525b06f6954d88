"""Mutations that set the viewer's presence and typing state."""

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import AckPayload, errors_in_payload
from roomcast.api.schema.accounts.inputs import unset_to_unchanged
from roomcast.api.schema.presence.inputs import SetPresenceInput, SetTypingInput
from roomcast.core.ids import local_id
from roomcast.presence import queries
from roomcast.presence.status_updates import StatusUpdate


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def set_presence(self, info: Info, input: SetPresenceInput) -> AckPayload:  # noqa: A002
        """Set how other users see the viewer. The server does not store it: clients repeat it after reconnecting."""
        state, text, emoji = map(unset_to_unchanged, (input.state, input.status_text, input.status_emoji))
        info.context.backend.presence.set_presence(info.context.actor, StatusUpdate(state, text, emoji))
        return AckPayload()

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def set_typing(self, info: Info, input: SetTypingInput) -> AckPayload:  # noqa: A002
        """Tell a room that the viewer is typing. Clients repeat it every typingRefreshMs. Sending a message ends it."""
        context, actor = info.context, info.context.actor
        room_id = local_id("room", input.room_id)
        room_id = await context.read(queries.room_for_typing, actor, room_id, typing=input.typing)
        context.backend.presence.set_typing(actor, room_id, typing=input.typing)
        return AckPayload()
