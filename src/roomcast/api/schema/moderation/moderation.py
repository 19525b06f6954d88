"""The door of moderation: mutes, reports, and the log of who did what."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import Info
from roomcast.api.errors import AckPayload, refusable
from roomcast.api.schema.accounts.accounts import User
from roomcast.api.schema.connections import Connected, Edge, PageInfo, connected
from roomcast.api.schema.node import Node
from roomcast.api.schema.rooms.rooms import RoomPayload, room_payload
from roomcast.core import audit
from roomcast.core.ids import global_id, local_id
from roomcast.core.paging import window
from roomcast.moderation import actions, queries

NOBODY = UUID(int=0)
"""Whom a malformed id names."""


@strawberry.type(
    description="A deed and its circumstances. Actions are in the past tense: MEMBER_REMOVED, USER_BANNED, …"
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

    @strawberry.field(description="Where it was done, if in a room.")
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


@strawberry.input
class AuditFilter:
    actor_id: strawberry.ID | None = None
    action: str | None = None
    target_id: strawberry.ID | None = None
    since: datetime | None = None


@strawberry.input
class MuteMemberInput:
    room_id: strawberry.ID
    user_id: strawberry.ID
    seconds: int = strawberry.field(description="0 lifts the mute.")
    reason: str | None = None


@strawberry.input
class ReportMessageInput:
    message_id: strawberry.ID
    reason: str


@strawberry.type
class Query:
    @strawberry.field(graphql_type=AuditEntryConnection, description="Administrators only.")
    async def audit_log(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        filter: AuditFilter | None = None,  # noqa: A002 (the contract's word)
    ) -> Connected:
        """Newest first."""
        actor, wanted = info.context.actor, _wanted(filter or AuditFilter())
        async with info.context.snapshot.session() as session:
            return connected(await queries.audit_log(session, actor, wanted, window(first, after)))


@strawberry.type
class Mutation:
    @strawberry.mutation
    @refusable(RoomPayload)
    async def mute_member(self, info: Info, input: MuteMemberInput) -> RoomPayload:  # noqa: A002
        """Moderators silence people below themselves for a while; sending answers MUTED until then."""
        context = info.context
        room_id, user_id = local_id("room", input.room_id), local_id("user", input.user_id)
        return await room_payload(
            context,
            lambda work: actions.mute_member(work, context.actor, room_id, user_id, input.seconds, input.reason),
        )

    @strawberry.mutation
    @refusable(AckPayload)
    async def report_message(self, info: Info, input: ReportMessageInput) -> AckPayload:  # noqa: A002
        """Call the administrators; they find it by `auditLog(filter: {action: "MESSAGE_REPORTED"})`."""
        context = info.context
        async with context.backend.db.work() as work:
            await actions.report_message(work, context.actor, local_id("msg", input.message_id), input.reason)
        await context.changed()
        return AckPayload()


def _wanted(chosen: AuditFilter) -> queries.AuditFilter:
    actor_id = None if chosen.actor_id is None else local_id("user", chosen.actor_id) or NOBODY
    return queries.AuditFilter(actor_id, chosen.action, chosen.target_id, chosen.since)
