"""The Node interface: objects with a global id."""

from typing import Any, ClassVar

import strawberry

from roomcast.accounts.models import Session, User
from roomcast.api.context import SHARED
from roomcast.core.actor import Actor
from roomcast.core.audit import AuditEntry
from roomcast.core.ids import Kind, global_id
from roomcast.messages.models import Message
from roomcast.messages.threads import Thread
from roomcast.rooms.models import Room
from roomcast.uploads.models import File

KINDS: dict[type[Any], Kind] = {
    Actor: "viewer",
    User: "user",
    Session: "session",
    Room: "room",
    Message: "msg",
    Thread: "thread",
    AuditEntry: "audit",
    File: "file",
}
"""The prefix of the global ids of each row type."""


@strawberry.interface(
    description="An object with a global id. Ids are opaque. Their prefix is the type: `user_…`, `room_…`. The id of "
    "a message is `msg_` and its clientMessageId, if the sender set one, so that optimistic cache entries keep "
    "their key."
)
class Node:
    row: ClassVar[type[Any]]
    """The class of the rows that this type shows."""

    @strawberry.field(metadata=SHARED)
    def id(self, row: strawberry.Parent[Any]) -> strawberry.ID:
        return strawberry.ID(global_id(KINDS[type(row)], row.id))

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, cls.row)
