"""Mutations of presence."""

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import AckPayload, errors_in_payload
from roomcast.api.schema.inputs import mentioned
from roomcast.api.schema.presence.inputs import SetPresenceInput, SetTypingInput
from roomcast.core.ids import local_id
from roomcast.presence import queries
from roomcast.presence.status_updates import StatusUpdate


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def set_presence(self, info: Info, input: SetPresenceInput) -> AckPayload:  # noqa: A002
        """How the viewer is shown to others. Not stored: a client says it again when it has connected anew."""
        wish = StatusUpdate(mentioned(input.state), mentioned(input.status_text), mentioned(input.status_emoji))
        info.context.backend.presence.set_presence(info.context.actor, wish)
        return AckPayload()

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def set_typing(self, info: Info, input: SetTypingInput) -> AckPayload:  # noqa: A002
        """The viewer types in a room; to be said again every typingRefreshMs. Sending a message ends it."""
        context, actor = info.context, info.context.actor
        async with context.snapshot.session() as session:
            room_id = await queries.room_to_type_in(
                session, actor, local_id("room", input.room_id), typing=input.typing
            )
        context.backend.presence.set_typing(actor, room_id, typing=input.typing)
        return AckPayload()
