"""GraphQL types of moderation."""

from datetime import datetime
from typing import ClassVar

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import Info
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.connections import (
    Edge,
    PageInfo,
    edge_cursor,
    edge_node,
    page_edges,
    page_info_field,
    page_nodes,
)
from roomcast.api.schema.node import Node
from roomcast.core import audit
from roomcast.core.ids import global_id


@strawberry.type(
    description="An entry of the audit log: an action, e.g. MEMBER_REMOVED or USER_BANNED, and its circumstances."
)
class AuditEntry(Node):
    row: ClassVar = audit.AuditEntry
    at: datetime = strawberry.field(description="When it happened.")
    action: str = strawberry.field(description="What was done, in the past tense, e.g. USER_BANNED.")
    target_id: strawberry.ID | None = strawberry.field(
        description="The id of what it was done to: a user, a room or a message. It may not exist any more."
    )
    reason: str | None = strawberry.field(description="The reason that the actor gave.")
    ip_address: str | None = strawberry.field(description="The address that the request came from, if it is known.")

    @strawberry.field(graphql_type=User | None, description="Who did it. Null for the command line.")
    async def actor(self, entry: strawberry.Parent[audit.AuditEntry], info: Info) -> account_rows.User | None:
        return await info.context.users.load(entry.actor_id) if entry.actor_id else None

    @strawberry.field(description="The room in which the action took place. Null if it was not in a room.")
    def room_id(self, entry: strawberry.Parent[audit.AuditEntry]) -> strawberry.ID | None:
        return strawberry.ID(global_id("room", entry.room_id)) if entry.room_id else None


@strawberry.type(description="An entry in the audit log.")
class AuditEntryEdge:
    cursor: str = edge_cursor()
    node: audit.AuditEntry = edge_node(AuditEntry)


@strawberry.type(description="A page of the audit log.")
class AuditEntryConnection:
    edges: list[Edge] = page_edges(AuditEntryEdge)
    nodes: list[audit.AuditEntry] = page_nodes(AuditEntry)
    page_info: PageInfo = page_info_field()
