"""What happens to messages, as facts."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from roomcast.accounts.models import User, decode_public_profile, encode_public_profile
from roomcast.core.events import Event, transient_field
from roomcast.messages.models import Message, MessageKind


class MessageUpdateReason(StrEnum):
    EDITED = "EDITED"
    PINNED = "PINNED"
    UNPINNED = "UNPINNED"


@dataclass(frozen=True, kw_only=True)
class MessageCreated(Event):
    """`fresh` and `author`: the message itself and what everybody may see of who wrote it, so that nobody has to read
    back what was just written. Live only."""

    kind: ClassVar[str] = "MESSAGE_CREATED"

    message_id: UUID
    thread_root_id: UUID | None = None
    fresh: Message | None = transient_field()
    author: User | None = transient_field()

    @property
    def moves_activity(self) -> bool:
        by_person = self.fresh is None or self.fresh.kind == MessageKind.USER
        return by_person and self.thread_root_id is None

    def transient_payload(self) -> dict[str, Any] | None:
        if self.fresh is None:
            return None
        return {
            "fresh": self.fresh.model_dump(mode="json"),
            "author": encode_public_profile(self.author) if self.author else None,
        }

    @classmethod
    def read_transient(cls, cargo: dict[str, Any]) -> dict[str, Any]:
        author = decode_public_profile(cargo["author"]) if cargo["author"] else None
        return {"fresh": Message.model_validate(cargo["fresh"]), "author": author}


@dataclass(frozen=True, kw_only=True)
class MessageUpdated(Event):
    """A message looks different now."""

    kind: ClassVar[str] = "MESSAGE_UPDATED"
    rewrites_past: ClassVar[bool] = True

    message_id: UUID
    reason: MessageUpdateReason


@dataclass(frozen=True, kw_only=True)
class MessageDeleted(Event):
    """Only the message's frame is left: `message_seq` is where it stood."""

    kind: ClassVar[str] = "MESSAGE_DELETED"
    rewrites_past: ClassVar[bool] = True

    message_id: UUID
    message_seq: int
    deleted_by_id: UUID


@dataclass(frozen=True, kw_only=True)
class ReactionChanged(Event):
    """Somebody put an emoji under a message or took it back. `count`: how many have it there now."""

    kind: ClassVar[str] = "REACTION_CHANGED"
    rewrites_past: ClassVar[bool] = True

    message_id: UUID
    emoji: str
    user_id: UUID
    added: bool
    count: int
