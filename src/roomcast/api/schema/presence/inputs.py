"""GraphQL inputs of presence."""

import strawberry

from roomcast.presence.registry import PresenceState


@strawberry.input(description="Omitted fields stay unchanged.")
class SetPresenceInput:
    state: PresenceState | None = strawberry.field(
        default=strawberry.UNSET,
        description="IDLE applies to this device until it sends ACTIVE or disconnects. OFFLINE hides the viewer on "
        "all devices, until this device sends ACTIVE or any device sends null. Null is the automatic state.",
    )
    status_text: str | None = strawberry.field(default=strawberry.UNSET, description="Null removes the text.")
    status_emoji: str | None = strawberry.field(default=strawberry.UNSET, description="One emoji. Null removes it.")


@strawberry.input
class SetTypingInput:
    room_id: strawberry.ID
    typing: bool
