"""GraphQL types of moderation."""

from datetime import datetime
from typing import ClassVar

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import Info
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.connections import Edge, PageInfo
from roomcast.api.schema.node import Node
from roomcast.core import audit
from roomcast.core.ids import global_id


@strawberry.type(
    description="An entry of the audit log: an action, e.g. MEMBER_REMOVED or USER_BANNED, and its circumstances."
)
class AuditEntry(Node):
    row: ClassVar = audit.AuditEntry
    at: datetime
    action: str
    target_id: strawberry.ID | None
    reason: str | None
    ip_address: str | None

    @strawberry.field(graphql_type=User | None)
    async def actor(self, entry: strawberry.Parent[audit.AuditEntry], info: Info) -> account_rows.User | None:
        return await info.context.users.load(entry.actor_id) if entry.actor_id else None

    @strawberry.field(description="The room in which the action took place. Null if it was not in a room.")
    def room_id(self, entry: strawberry.Parent[audit.AuditEntry]) -> strawberry.ID | None:
        return strawberry.ID(global_id("room", entry.room_id)) if entry.room_id else None


@strawberry.type
class AuditEntryEdge:
    cursor: str
    node: audit.AuditEntry = strawberry.field(graphql_type=AuditEntry)


@strawberry.type
class AuditEntryConnection:
    edges: list[Edge] = strawberry.field(graphql_type=list[AuditEntryEdge])
    nodes: list[audit.AuditEntry] = strawberry.field(graphql_type=list[AuditEntry])
    page_info: PageInfo
