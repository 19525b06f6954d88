"""GraphQL inputs of moderation."""

from datetime import datetime

import strawberry


@strawberry.input
class AuditFilter:
    actor_id: strawberry.ID | None = None
    action: str | None = None
    target_id: strawberry.ID | None = None
    since: datetime | None = None


@strawberry.input
class MuteMemberInput:
    room_id: strawberry.ID
    user_id: strawberry.ID
    seconds: int = strawberry.field(description="The duration of the mute. 0 ends a mute.")
    reason: str | None = None


@strawberry.input
class ReportMessageInput:
    message_id: strawberry.ID
    reason: str
