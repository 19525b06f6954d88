"""The subscription to the viewer's inbox."""

from typing import Annotated, TypeAlias

import strawberry

from roomcast.api.context import Info
from roomcast.api.execution.inbox_renderer import InboxStream
from roomcast.api.schema.inbox.types import (
    InboxSnapshot,
    RoomListChanged,
    ThreadUnreadChanged,
    UnreadChanged,
    inbox_event,
    load_shown_rooms,
)

InboxEvent: TypeAlias = Annotated[
    InboxSnapshot | UnreadChanged | RoomListChanged | ThreadUnreadChanged,
    strawberry.union(
        "InboxEvent",
        description="What the inbox sends. Use a default branch: new types may be added at any time.",
    ),
]


@strawberry.type
class Subscription:
    @strawberry.subscription(
        graphql_type=InboxEvent,
        description="The unread counts of the viewer's rooms and threads: a snapshot first, then changes. Every value "
        "is absolute, so the stream needs no cursor.",
    )
    async def inbox_events(self, info: Info) -> InboxStream:
        _ = info.context.actor  # raises Unauthenticated
        return InboxStream(info.context.base_url, inbox_event, load_shown_rooms)
