"""The events of a room, in the order of its log, and the document that subscribes to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from roomcast_client.models import MESSAGE, USER, Message, User

ROOM_EVENTS: Final = f"""
subscription RoomEvents($roomId: ID!, $after: Cursor) {{
  roomEvents(roomId: $roomId, after: $after) {{
    __typename roomId cursor at replayed
    ... on MessageCreated {{ message {{ ...MessageParts }} }}
    ... on MessageUpdated {{ message {{ ...MessageParts }} updateReason }}
    ... on MessageDeleted {{ message {{ ...MessageParts }} deletedBy {{ {USER} }} }}
    ... on ReactionChanged {{ messageId emoji added count user {{ {USER} }} }}
    ... on MemberChanged {{ user {{ {USER} }} change role }}
    ... on RoomChanged {{ room {{ name topic }} }}
    ... on StreamReady {{ recovered replayedCount }}
    ... on StreamEnded {{ reason }}
  }}
}}
fragment MessageParts on Message {{ {MESSAGE} }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEvent:
    """An event. Of this class itself: a kind that is newer than this client; skip it.

    Store `cursor` when you have acted on the event, and continue with `Room.events(after=cursor)`. `is_replayed`: it
    happened before the stream was live.
    """

    room_id: str
    cursor: str
    at: datetime
    is_replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCreated(RoomEvent):
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageUpdated(RoomEvent):
    """`reason`: EDITED, PINNED or UNPINNED; newer servers may have more."""

    message: Message
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDeleted(RoomEvent):
    """`message` is what is left of it: its id, seq, author and times."""

    message: Message
    deleted_by: User | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionChanged(RoomEvent):
    """`count`: how many users have this reaction now."""

    message_id: str
    emoji: str
    user: User
    is_added: bool
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChanged(RoomEvent):
    """`change`: JOINED, LEFT, REMOVED, ROLE_CHANGED, MUTED or UNMUTED; newer servers may have more."""

    user: User
    change: str
    role: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomChanged(RoomEvent):
    name: str | None
    topic: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReady(RoomEvent):
    """The stream is live: once at its start, and after each replay.

    `is_recovered` is false when events may be missing: the database was restored from a backup, or lost its newest
    commits. Read the history again.
    """

    is_recovered: bool
    replayed_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnded(RoomEvent):
    """The last event. `reason`: REMOVED_FROM_ROOM, ROOM_DELETED, BANNED or SESSION_REVOKED."""

    reason: str


def read_event(data: Mapping[str, Any]) -> RoomEvent:
    """The event of one payload of `ROOM_EVENTS`."""
    kind, fields = _KINDS.get(data["__typename"], (RoomEvent, _no_fields))
    return kind(
        room_id=data["roomId"],
        cursor=data["cursor"],
        at=datetime.fromisoformat(data["at"]),
        is_replayed=data["replayed"],
        **fields(data),
    )


def _no_fields(_data: Mapping[str, Any]) -> dict[str, Any]:
    return {}


_KINDS: Final[dict[str, tuple[type[RoomEvent], Callable[[Mapping[str, Any]], dict[str, Any]]]]] = {
    "MessageCreated": (MessageCreated, lambda data: {"message": Message.read(data["message"])}),
    "MessageUpdated": (
        MessageUpdated,
        lambda data: {"message": Message.read(data["message"]), "reason": data["updateReason"]},
    ),
    "MessageDeleted": (
        MessageDeleted,
        lambda data: {
            "message": Message.read(data["message"]),
            "deleted_by": User.read(data["deletedBy"]) if data["deletedBy"] else None,
        },
    ),
    "ReactionChanged": (
        ReactionChanged,
        lambda data: {
            "message_id": data["messageId"],
            "emoji": data["emoji"],
            "user": User.read(data["user"]),
            "is_added": data["added"],
            "count": data["count"],
        },
    ),
    "MemberChanged": (
        MemberChanged,
        lambda data: {"user": User.read(data["user"]), "change": data["change"], "role": data["role"]},
    ),
    "RoomChanged": (RoomChanged, lambda data: {"name": data["room"]["name"], "topic": data["room"]["topic"]}),
    "StreamReady": (
        StreamReady,
        lambda data: {"is_recovered": data["recovered"], "replayed_count": data["replayedCount"]},
    ),
    "StreamEnded": (StreamEnded, lambda data: {"reason": data["reason"]}),
}
