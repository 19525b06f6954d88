"""GraphQL inputs of receipts."""

from datetime import datetime

import strawberry

from roomcast.rooms import models


@strawberry.input
class MarkReadInput:
    room_id: strawberry.ID
    up_to_message_id: strawberry.ID = strawberry.field(
        description="The last message that the viewer has read. The read marker moves backward only with `force`."
    )
    force: bool = False


@strawberry.input
class SetRoomPreferencesInput:
    """Omitted fields stay unchanged."""

    room_id: strawberry.ID
    notification_level: models.NotificationLevel | None = None
    muted_until: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="The end of the viewer's own mute of this room. Null unmutes it."
    )
    favourite: bool | None = None
