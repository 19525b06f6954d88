"""The filter of the list of rooms."""

import strawberry

from roomcast.rooms import models, queries


@strawberry.input(description="Which rooms to list. A field that is left out, or null, excludes none.")
class RoomFilter:
    membership: queries.RoomMembershipFilter = strawberry.field(
        default=queries.RoomMembershipFilter.JOINED, description="The viewer's own rooms, rooms to join, or both."
    )
    query: str | None = strawberry.field(
        default=None,
        description="Text anywhere in the room's name, or in the names of the other users of a direct conversation. "
        "Case and accents are ignored.",
    )
    kind: models.RoomKind | None = strawberry.field(default=None, description="Only rooms of this kind.")
    unread_only: bool = strawberry.field(
        default=False, description="Only rooms with unread messages of other users. Replies in threads do not count."
    )
    archived: bool = strawberry.field(default=False, description="Archived rooms in place of the others.")
