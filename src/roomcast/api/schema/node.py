"""What everything with a global id has in common."""

from typing import Any, ClassVar

import strawberry

from roomcast.accounts.models import Session, User
from roomcast.api.context import SHARED
from roomcast.core.actor import Actor
from roomcast.core.audit import AuditEntry
from roomcast.core.ids import Kind, global_id
from roomcast.messages.models import Message
from roomcast.rooms.models import Room
from roomcast.uploads.models import File

KINDS: dict[type[Any], Kind] = {
    Actor: "viewer",
    User: "user",
    Session: "session",
    Room: "room",
    Message: "msg",
    AuditEntry: "audit",
    File: "file",
}
"""What has a global id, and the word it begins with."""


@strawberry.interface(
    description="Anything with an id of its own, typed (`user_…`, `room_…`) and opaque. A message's id is `msg_` "
    "and the sender's clientMessageId when one was given, so an optimistic cache entry keeps its key."
)
class Node:
    row: ClassVar[type[Any]]
    """What stands behind this type."""

    @strawberry.field(metadata=SHARED)
    def id(self, row: strawberry.Parent[Any]) -> strawberry.ID:
        return strawberry.ID(global_id(KINDS[type(row)], row.id))

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, cls.row)
