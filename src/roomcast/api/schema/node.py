"""The Node interface: objects with a global id."""

from typing import Any, ClassVar

import strawberry

from roomcast.accounts.models import Session, User, UserRecord
from roomcast.api.context import SHARED
from roomcast.core.actor import Actor
from roomcast.core.audit import AuditEntry
from roomcast.core.ids import Kind, global_id
from roomcast.messages.models import Message, MessageRecord, MessageWithDigest
from roomcast.messages.threads import Thread
from roomcast.rooms.models import Membership, Room, RoomRecord
from roomcast.uploads.models import File, FileRecord

KINDS: dict[type[Any], Kind] = {
    Actor: "viewer",
    User: "user",
    UserRecord: "user",
    Session: "session",
    Room: "room",
    RoomRecord: "room",
    Message: "msg",
    MessageRecord: "msg",
    MessageWithDigest: "msg",
    Thread: "thread",
    AuditEntry: "audit",
    File: "file",
    FileRecord: "file",
}
"""The prefix of the global ids of each row type."""

ID_DESCRIPTION = "Unique among all objects. It never changes."


class FoundMembership:
    """A row of `memberships` that was found by a global id. Two types show such rows, `RoomMember` and
    `RoomMembership`; the subclass says which of them the id names."""

    def __init__(self, row: Membership) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


class MemberNode(FoundMembership):
    """Shown as `RoomMember`."""


class MembershipNode(FoundMembership):
    """Shown as `RoomMembership`."""


@strawberry.interface(
    description="An object with a global id. Ids are opaque. Their prefix is the type: `user_…`, `room_…`. The id of "
    "a message is `msg_` and its clientMessageId, if the sender set one, so that optimistic cache entries keep "
    "their key."
)
class Node:
    row: ClassVar[type[Any] | tuple[type[Any], ...]]
    """The class of the rows that this type shows, or several classes."""

    @strawberry.field(metadata=SHARED, description=ID_DESCRIPTION)
    def id(self, row: strawberry.Parent[Any]) -> strawberry.ID:
        return strawberry.ID(global_id(KINDS[type(row)], row.id))

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, cls.row)
