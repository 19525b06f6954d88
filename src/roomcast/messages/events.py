"""Events about messages."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Self
from uuid import UUID

from roomcast.accounts.models import User, decode_public_profile, encode_public_profile
from roomcast.core.direct_queries import with_values
from roomcast.core.events import Event, transient_field
from roomcast.core.records import columns_of, is_record
from roomcast.messages.models import Message, MessageKind

_THREAD = '"thread_root_id":"'


class MessageUpdateReason(StrEnum):
    EDITED = "EDITED"
    PINNED = "PINNED"
    UNPINNED = "UNPINNED"


@dataclass(frozen=True, kw_only=True)
class MessageCreated(Event):
    """A message was sent. `fresh` and `author` are the message and its author's public profile, so that subscribers
    need not read back what was just written. They travel with the live event and are not stored in the log."""

    kind: ClassVar[str] = "MESSAGE_CREATED"

    message_id: UUID
    thread_root_id: UUID | None = None
    fresh: Message | None = transient_field()
    author: User | None = transient_field()

    @property
    def moves_activity(self) -> bool:
        from_user = self.fresh is None or self.fresh.kind == MessageKind.USER
        return from_user and self.thread_root_id is None

    def at_seq(self, seq: int) -> Self:
        fresh = with_values(self.fresh, seq=seq) if is_record(self.fresh) else self.fresh
        return replace(self, seq=seq, fresh=fresh)

    def transient_payload(self) -> dict[str, Any] | None:
        if self.fresh is None:
            return None
        return {
            "fresh": columns_of(self.fresh),
            "author": encode_public_profile(self.author) if self.author else None,
        }

    @classmethod
    def read_transient(cls, cargo: dict[str, Any]) -> dict[str, Any]:
        author = decode_public_profile(cargo["author"]) if cargo["author"] else None
        return {"fresh": Message.model_validate(cargo["fresh"]), "author": author}


@dataclass(frozen=True, kw_only=True)
class MessageUpdated(Event):
    """A message was edited, pinned or unpinned. `thread_root_id`: of a reply that was edited."""

    kind: ClassVar[str] = "MESSAGE_UPDATED"
    rewrites_past: ClassVar[bool] = True

    message_id: UUID
    reason: MessageUpdateReason
    thread_root_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class MessageDeleted(Event):
    """A message was deleted. `message_seq`: its position in the room, which stays taken. `thread_root_id`: of a
    reply."""

    kind: ClassVar[str] = "MESSAGE_DELETED"
    rewrites_past: ClassVar[bool] = True

    message_id: UUID
    message_seq: int
    deleted_by_id: UUID
    thread_root_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class ReactionChanged(Event):
    """Somebody added or removed a reaction. `count`: how many users have reacted with this emoji now."""

    kind: ClassVar[str] = "REACTION_CHANGED"
    rewrites_past: ClassVar[bool] = True

    message_id: UUID
    emoji: str
    user_id: UUID
    added: bool
    count: int


def thread_of_packed(line: str) -> UUID | None:
    """The thread whose replies a packed event changes, without decoding the event.

    In the text of a message the quotation marks would be escaped, so the name is found only where it is a name.
    """
    start = line.find(_THREAD)
    return None if start < 0 else UUID(line[start + len(_THREAD) :][:36])
