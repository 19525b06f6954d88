"""The query of the audit log."""

from uuid import UUID

import strawberry

from roomcast.api.context import Info
from roomcast.api.schema.connections import ConnectionPage, connection_of
from roomcast.api.schema.moderation.inputs import AuditFilter
from roomcast.api.schema.moderation.types import AuditEntryConnection
from roomcast.core.ids import local_id
from roomcast.core.paging import window
from roomcast.moderation import queries

NO_USER_ID = UUID(int=0)
"""Stands for a malformed user id in a filter: it matches nothing."""


@strawberry.type
class Query:
    @strawberry.field(graphql_type=AuditEntryConnection, description="For administrators only.")
    async def audit_log(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        filter: AuditFilter | None = None,  # noqa: A002 (GraphQL's name)
    ) -> ConnectionPage:
        """The newest entries first."""
        actor, chosen = info.context.actor, filter or AuditFilter()
        actor_id = None if chosen.actor_id is None else local_id("user", chosen.actor_id) or NO_USER_ID
        audit_filter = queries.AuditFilter(actor_id, chosen.action, chosen.target_id, chosen.since)
        page = await info.context.read(queries.audit_log, actor, audit_filter, window(first, after))
        return connection_of(page)
