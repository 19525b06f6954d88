"""Subscriptions to the events of a room.

A resolver produces no events. It checks the viewer and returns a `RoomStream` that describes what to show. The
WebSocket connection attaches the stream to a group, and each event is executed once for the whole group.
"""

from typing import Annotated, TypeAlias

import strawberry

from roomcast.api.context import SHARED, Context, Info
from roomcast.api.execution.room_renderer import RoomStream
from roomcast.api.schema.scalars import Cursor
from roomcast.api.schema.streams.events import ROOM_EVENT_TYPES, MessageDelivery, RoomEvent
from roomcast.core import event_log
from roomcast.core.errors import BadUserInput, ResumeExpired
from roomcast.core.ids import global_id, local_id
from roomcast.live.room_streams import Stream, StreamStart
from roomcast.messages.events import MessageCreated

RoomArgument: TypeAlias = Annotated[strawberry.ID, strawberry.argument(description="The id of the room.")]
AfterArgument: TypeAlias = Annotated[
    Cursor | None,
    strawberry.argument(
        description="Continue after this position: a `streamCursor`, or the cursor of the last event that was "
        "received. Without it, the stream starts now."
    ),
]


@strawberry.type
class Subscription:
    @strawberry.subscription(
        graphql_type=MessageDelivery,
        metadata=SHARED,
        description="Every message of a room, in order. With `after`, missed messages are replayed first, then the "
        "stream is live. No message is lost or sent twice.",
    )
    async def room_messages(self, info: Info, room_id: RoomArgument, after: AfterArgument = None) -> RoomStream:
        start_at = await _start_at(info.context, "roomMessages", room_id, after)
        if start_at.expired:
            raise ResumeExpired(
                "the log does not reach back to this cursor; fetch the history and subscribe without a cursor"
            )
        kinds = frozenset([MessageCreated])
        return RoomStream(Stream(start_at, kinds, has_control_events=False, address=info.context.base_url))

    @strawberry.subscription(
        graphql_type=RoomEvent,
        metadata=SHARED,
        description="All durable events of a room, in the order of its event log, with one cursor for all of them.",
    )
    async def room_events(self, info: Info, room_id: RoomArgument, after: AfterArgument = None) -> RoomStream:
        start_at = await _start_at(info.context, "roomEvents", room_id, after)
        return RoomStream(Stream(start_at, ROOM_EVENT_TYPES, has_control_events=True, address=info.context.base_url))


async def _start_at(context: Context, field: str, id_: str, after: str | None) -> StreamStart:
    """Check the viewer and choose where the stream starts.

    Cursors come from the argument `after` and from the connection's resume map. The later one counts; a cursor of
    another epoch or beyond the end of the log does not. Raises Unauthenticated, NotFound, BadUserInput.
    """
    room_id, tail = await context.backend.stream_access.check(context.actor, local_id("room", id_))
    resumed = context.caller.resume_cursor(global_id("room", room_id), field) if context.caller.resume_cursor else None
    cursors = [event_log.parse_cursor(text) for text in (after, resumed) if text is not None]
    if any(cursor.room_id != room_id for cursor in cursors):
        raise BadUserInput("This cursor belongs to another room.")
    epoch = context.epoch
    valid = [cursor.seq for cursor in cursors if cursor.belongs_to(epoch) and cursor.seq <= tail]
    return StreamStart(room_id, tail, max(valid, default=None), bool(cursors) and not valid, epoch)
