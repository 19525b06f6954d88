"""What the server returns, as values. They do not change; a later event carries the later state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

USER = "id username displayName"
MESSAGE = (
    "id seq kind body createdAt editedAt deletedAt revision threadRootId "
    f"author {{ {USER} }} replyTo {{ id }} room {{ id }}"
)


@dataclass(frozen=True, slots=True)
class User:
    """Users are equal when their ids are: names change."""

    id: str
    username: str = field(compare=False)
    display_name: str = field(compare=False)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["id"], data["username"], data["displayName"])


@dataclass(frozen=True, slots=True)
class Message:
    """A message. `body` is Markdown, None if the message is deleted. `author` is None for messages of the server."""

    id: str
    room_id: str
    seq: int
    kind: str
    body: str | None
    author: User | None
    created_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    revision: int
    reply_to_id: str | None
    thread_root_id: str | None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            id=data["id"],
            room_id=data["room"]["id"],
            seq=data["seq"],
            kind=data["kind"],
            body=data["body"],
            author=User.read(data["author"]) if data["author"] else None,
            created_at=datetime.fromisoformat(data["createdAt"]),
            edited_at=_moment(data["editedAt"]),
            deleted_at=_moment(data["deletedAt"]),
            revision=data["revision"],
            reply_to_id=data["replyTo"]["id"] if data["replyTo"] else None,
            thread_root_id=data["threadRootId"],
        )


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages of a room, the oldest first.

    `before` is the argument that returns the page before this one, None on the first page. `stream_cursor` is the
    position of the newest page: `Room.events(after=stream_cursor)` continues it without a gap.
    """

    messages: Sequence[Message]
    before: str | None
    stream_cursor: str

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        info = data["pageInfo"]
        before = info["startCursor"] if info["hasPreviousPage"] else None
        return cls([Message.read(node) for node in data["nodes"]], before, data["streamCursor"])


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
