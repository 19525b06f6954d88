"""The filter of the search for messages."""

from datetime import datetime

import strawberry


@strawberry.input(description="Which messages to search. A field that is left out, or null, excludes none.")
class MessageSearchFilter:
    room_ids: list[strawberry.ID] | None = strawberry.field(default=None, description="Only messages of these rooms.")
    author_ids: list[strawberry.ID] | None = strawberry.field(default=None, description="Only messages of these users.")
    before: datetime | None = strawberry.field(default=None, description="Only messages sent before that time.")
    after: datetime | None = strawberry.field(default=None, description="Only messages sent after that time.")
    has_attachment: bool | None = strawberry.field(
        default=None, description="Only messages with attachments, or only those without."
    )
