"""GraphQL inputs of receipts."""

from datetime import datetime

import strawberry

from roomcast.rooms import models


@strawberry.input
class MarkReadInput:
    room_id: strawberry.ID
    up_to_message_id: strawberry.ID = strawberry.field(
        description="Up to and including. Moves forward only, unless `force`."
    )
    force: bool = False


@strawberry.input
class SetRoomPreferencesInput:
    """What is left out stays as it is."""

    room_id: strawberry.ID
    notification_level: models.NotificationLevel | None = None
    muted_until: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="The person's own snooze; null lifts it."
    )
    favourite: bool | None = None
