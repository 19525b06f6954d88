"""GraphQL inputs of presence."""

import strawberry

from roomcast.presence.registry import PresenceState


@strawberry.input(description="What is left out stays as it is.")
class SetPresenceInput:
    state: PresenceState | None = strawberry.field(
        default=strawberry.UNSET,
        description="IDLE holds for this device, until it says ACTIVE or is gone. OFFLINE hides the viewer on all "
        "devices, until this one says ACTIVE or any of them null, which is the automatic state.",
    )
    status_text: str | None = strawberry.field(default=strawberry.UNSET, description="Null clears it.")
    status_emoji: str | None = strawberry.field(default=strawberry.UNSET, description="One emoji; null clears it.")


@strawberry.input
class SetTypingInput:
    room_id: strawberry.ID
    typing: bool
