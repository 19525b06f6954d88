"""Reads of the audit log."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.audit import AuditEntry
from roomcast.core.paging import Key, Page, Window, page
from roomcast.core.text_folding import MAX_FILTER
from roomcast.moderation import policy


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """`target_id`: a global id, as the entry stores it."""

    actor_id: UUID | None = None
    action: str | None = None
    target_id: str | None = None
    since: datetime | None = None


async def audit_log(
    session: AsyncSession, actor: Actor, filter_: AuditFilter, window: Window
) -> Page[tuple[AuditEntry]]:
    """Entries, newest first. Raises Forbidden."""
    policy.check_audit(actor)
    columns = sa.inspect(AuditEntry).c
    newest_first = [Key(columns.at, descending=True), Key(columns.id, descending=True)]
    conditions: list[sa.ColumnElement[bool]] = []
    for column, value in (
        (col(AuditEntry.actor_id), filter_.actor_id),
        (col(AuditEntry.action), filter_.action),
        (col(AuditEntry.target_id), filter_.target_id),
    ):
        if value is not None:
            # PostgreSQL refuses a parameter with a zero byte.
            unknown = isinstance(value, str) and (len(value) > MAX_FILTER or "\0" in value)
            conditions.append(sa.false() if unknown else column == value)
    if filter_.since is not None:
        conditions.append(col(AuditEntry.at) >= filter_.since)
    return await page(session, "audit", sa.select(AuditEntry).where(*conditions), newest_first, window)


async def entries_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, AuditEntry]:
    rows = await session.exec(select(AuditEntry).where(col(AuditEntry.id).in_(ids)))
    return {entry.id: entry for entry in rows}
