"""GraphQL types of the inbox. Every value is absolute."""

from dataclasses import replace
from typing import Self
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.enums import describe_enum
from roomcast.api.loaders import Maybe
from roomcast.api.schema.messages.types import Thread
from roomcast.api.schema.rooms.queries import remember_room, room_or_none
from roomcast.api.schema.rooms.types import Room
from roomcast.api.schema.scalars import Seq
from roomcast.api.schema.threads.queries import thread_or_none
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id
from roomcast.live.inbox import CountsUpdate, FullUpdate, InboxUpdate, ListUpdate, RoomListChange, ThreadUpdate
from roomcast.messages import threads
from roomcast.receipts.queries import RoomReadState
from roomcast.rooms import models, queries

describe_enum(
    RoomListChange,
    "What happened to a room in the viewer's list.",
    ADDED="It is new in the list.",
    REMOVED="It is not in the list any more.",
    UPDATED="It looks different: it has another name, or the viewer has other preferences for it.",
)

TOTAL_UNREAD = "Unread messages in all rooms together. Each room counts at most 100."
TOTAL_UNREAD_THREADS = "How many threads that the viewer follows have unread replies."
TOTAL_MENTIONS = "Unread messages that mention the viewer, in all rooms together. Each room counts at most 100."


@strawberry.type(description="What the viewer has not read in one room.")
class RoomUnread:
    room_id: strawberry.ID = strawberry.field(description="The id of the room.")
    unread_count: int = strawberry.field(
        description="Messages of others outside threads that the viewer has not read. Exact up to 100. Larger counts "
        "are capped, see `unreadIsCapped`."
    )
    unread_is_capped: bool = strawberry.field(
        description="Whether there are more unread messages than `unreadCount` says."
    )
    mention_count: int = strawberry.field(
        description="Unread messages that mention the viewer, in threads too. Exact up to 100."
    )
    last_read_seq: Seq = strawberry.field(description="The viewer has read all messages up to this `seq`.")
    local_id: strawberry.Private[UUID]

    @strawberry.field(graphql_type=Room, description="The room.")
    def room(self, info: Info) -> Maybe[models.Room | None]:
        return info.context.rooms.load_now(self.local_id)

    @classmethod
    def of(cls, room: RoomReadState) -> Self:
        return cls(
            local_id=room.room_id,
            room_id=strawberry.ID(global_id("room", room.room_id)),
            unread_count=room.unread_count,
            unread_is_capped=room.is_capped,
            mention_count=room.mention_count,
            last_read_seq=Seq(room.last_read_seq),
        )


@strawberry.type(description="All of the viewer's rooms. Replaces what the client knew before.")
class InboxSnapshot:
    rooms: list[RoomUnread] = strawberry.field(description="All rooms in the viewer's list. Archived rooms are not.")
    total_unread: int = strawberry.field(description=TOTAL_UNREAD)
    total_mentions: int = strawberry.field(description=TOTAL_MENTIONS)
    total_unread_threads: int = strawberry.field(description=TOTAL_UNREAD_THREADS)


@strawberry.type(description="The counts of one room have changed.")
class UnreadChanged:
    unread: RoomUnread = strawberry.field(description="The counts of the room as they are now.")
    total_unread: int = strawberry.field(description=TOTAL_UNREAD)
    total_mentions: int = strawberry.field(description=TOTAL_MENTIONS)


@strawberry.type(description="A room was added to the viewer's list, left it, or looks different in it.")
class RoomListChanged:
    room_id: strawberry.ID = strawberry.field(description="The id of the room.")
    change: RoomListChange = strawberry.field(description="What happened to it.")
    local_id: strawberry.Private[UUID]

    @strawberry.field(graphql_type=Room | None, description="Null if the room is not in the viewer's list any more.")
    async def room(self, info: Info) -> models.Room | None:
        return None if self.change is RoomListChange.REMOVED else await room_or_none(info.context, self.local_id)


async def load_shown_rooms(update: InboxUpdate, context: Context) -> InboxUpdate:
    """Load the rooms of an update whose `RoomUnread.room` is shown, with one statement.

    A room that the viewer could read when it was counted, and cannot read now, is not shown: it is reported as removed.
    """
    if isinstance(update, FullUpdate):
        room_ids = [room.room_id for room in update.rooms]
        found = await context.read_direct(queries.rooms_read(context.actor, room_ids))
        shown: InboxUpdate = replace(update, rooms=[room for room in update.rooms if room.room_id in found])
    elif isinstance(update, CountsUpdate):
        found = await context.read_direct(queries.rooms_read(context.actor, [update.room.room_id]))
        shown = update if found else ListUpdate(update.room.room_id, RoomListChange.REMOVED)
    else:
        return update
    for view in found.values():
        remember_room(context, view)
    return shown


@strawberry.type(
    description="A thread that the viewer follows has other unread replies than before, or none any more. Also sent "
    "when the viewer stops following a thread with unread replies."
)
class ThreadUnreadChanged:
    root_id: strawberry.Private[UUID]
    total_unread_threads: int = strawberry.field(description=TOTAL_UNREAD_THREADS)

    @strawberry.field(graphql_type=Thread, description="The thread as it is now.")
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
            unread=RoomUnread.of(update.room),
            total_unread=update.totals.unread,
            total_mentions=update.totals.mentions,
        )
    return RoomListChanged(
        room_id=strawberry.ID(global_id("room", update.room_id)), change=update.change, local_id=update.room_id
    )
