"""The query of the audit log."""

from typing import Annotated
from uuid import UUID

import strawberry

from roomcast.api.context import Info
from roomcast.api.schema.connections import After, ConnectionPage, First, connection_of
from roomcast.api.schema.moderation.inputs import AuditFilter
from roomcast.api.schema.moderation.types import AuditEntryConnection
from roomcast.core.ids import local_id
from roomcast.core.paging import window
from roomcast.moderation import queries

NO_USER_ID = UUID(int=0)
"""Stands for a malformed user id in a filter: it matches nothing."""


@strawberry.type
class Query:
    @strawberry.field(
        graphql_type=AuditEntryConnection | None,
        description="What moderators and administrators did, the newest first. For administrators only.",
    )
    async def audit_log(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        filter: Annotated[  # noqa: A002 (GraphQL's name)
            AuditFilter | None, strawberry.argument(description="Only entries that match all of its fields.")
        ] = None,
    ) -> ConnectionPage:
        actor, chosen = info.context.actor, filter or AuditFilter()
        actor_id = None if chosen.actor_id is None else local_id("user", chosen.actor_id) or NO_USER_ID
        audit_filter = queries.AuditFilter(actor_id, chosen.action, chosen.target_id, chosen.since)
        page = await info.context.read(queries.audit_log, actor, audit_filter, window(first, after))
        return connection_of(page)
