"""GraphQL types of the inbox. Every value is absolute."""

from typing import Self
from uuid import UUID

import strawberry

from roomcast.api.context import Info
from roomcast.api.schema.messages.types import Thread
from roomcast.api.schema.rooms.queries import room_or_none
from roomcast.api.schema.rooms.types import Room
from roomcast.api.schema.scalars import Seq
from roomcast.api.schema.threads.queries import thread_or_none
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id
from roomcast.live.inbox import CountsUpdate, FullUpdate, InboxUpdate, RoomListChange, ThreadUpdate
from roomcast.messages import threads
from roomcast.receipts.queries import RoomReadState
from roomcast.rooms import models

strawberry.enum(RoomListChange)


@strawberry.type
class RoomUnread:
    room_id: strawberry.ID
    unread_count: int
    unread_is_capped: bool
    mention_count: int
    last_read_seq: Seq

    @classmethod
    def of(cls, room: RoomReadState) -> Self:
        return cls(
            room_id=strawberry.ID(global_id("room", room.room_id)),
            unread_count=room.unread_count,
            unread_is_capped=room.is_capped,
            mention_count=room.mention_count,
            last_read_seq=Seq(room.last_read_seq),
        )


@strawberry.type(description="All of the viewer's rooms. Replaces what the client knew before.")
class InboxSnapshot:
    rooms: list[RoomUnread]
    total_unread: int
    total_mentions: int
    total_unread_threads: int = strawberry.field(
        description="How many threads that the viewer follows have unread replies."
    )


@strawberry.type
class UnreadChanged:
    room: RoomUnread
    total_unread: int
    total_mentions: int


@strawberry.type
class RoomListChanged:
    room_id: strawberry.ID
    change: RoomListChange
    local_id: strawberry.Private[UUID]

    @strawberry.field(graphql_type=Room | None, description="Null if the room is not in the viewer's list any more.")
    async def room(self, info: Info) -> models.Room | None:
        return None if self.change is RoomListChange.REMOVED else await room_or_none(info.context, self.local_id)


@strawberry.type(
    description="A thread that the viewer follows has other unread replies than before, or none any more. Also sent "
    "when the viewer stops following a thread with unread replies."
)
class ThreadUnreadChanged:
    root_id: strawberry.Private[UUID]
    total_unread_threads: int = strawberry.field(
        description="How many threads that the viewer follows have unread replies."
    )

    @strawberry.field(graphql_type=Thread)
    async def thread(self, info: Info) -> threads.Thread:
        found = await thread_or_none(info.context, self.root_id)
        if found is None:
            raise NotFound("There is no such thread.")
        return found


def inbox_event(update: InboxUpdate) -> InboxSnapshot | UnreadChanged | RoomListChanged | ThreadUnreadChanged:
    """The GraphQL object of an inbox's update."""
    if isinstance(update, FullUpdate):
        rooms = [RoomUnread.of(room) for room in update.rooms]
        return InboxSnapshot(
            rooms=rooms,
            total_unread=update.totals.unread,
            total_mentions=update.totals.mentions,
            total_unread_threads=update.unread_threads,
        )
    if isinstance(update, ThreadUpdate):
        return ThreadUnreadChanged(root_id=update.root_id, total_unread_threads=update.unread_threads)
    if isinstance(update, CountsUpdate):
        return UnreadChanged(
            room=RoomUnread.of(update.room),
            total_unread=update.totals.unread,
            total_mentions=update.totals.mentions,
        )
    return RoomListChanged(
        room_id=strawberry.ID(global_id("room", update.room_id)), change=update.change, local_id=update.room_id
    )
