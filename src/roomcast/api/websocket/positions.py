"""Announcements of stream positions in pings.

The events of some streams, such as `roomMessages`, reach a client only when something happens that they select. The
pings tell the client a newer cursor in between, so that it resumes from there and replays less.
"""

from collections.abc import Iterable
from uuid import UUID

from roomcast.api.websocket import protocol
from roomcast.api.websocket.operations import ActiveOperation
from roomcast.core.event_log import Position


def ping_message(streams: Iterable[ActiveOperation], epoch: UUID) -> bytes:
    """A ping with the cursors, by operation id, of the streams that have moved since the last ping that named them."""
    cursors = {stream.id: cursor for stream in streams if (cursor := _unannounced_cursor(stream, epoch))}
    return protocol.encode_message("ping", payload={"cursors": cursors} if cursors else None)


def _unannounced_cursor(active: ActiveOperation, epoch: UUID) -> str | None:
    """It is never ahead of what the outbox has taken of this stream."""
    if not active.announces_position or active.stream is None:
        return None
    position = active.stream.announced_position()
    if position is None or position[1] == active.announced_seq:
        return None
    room_id, active.announced_seq = position
    return Position(epoch, room_id, active.announced_seq).encode()
