"""Reactions: real emoji under a message, each person's each emoji once."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import User
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import among
from roomcast.core.db import Work
from roomcast.core.direct_queries import count, fetch
from roomcast.core.paging import Key, Page, Window, page
from roomcast.messages import policy
from roomcast.messages.editing import MessageChange, load_message_locked
from roomcast.messages.events import ReactionChanged
from roomcast.messages.models import Message, Reaction


@dataclass(frozen=True, slots=True)
class ReactionGroup:
    """All who put the same emoji under one message."""

    message_id: UUID
    emoji: str
    count: int


# ------------------------------------------------------------------ changes


async def add_reaction(work: Work, actor: Actor, message_id: UUID | None, emoji: str) -> MessageChange:
    """The actor's emoji is under the message, once. Announces ReactionChanged.

    Raises NotFound, what sending raises, ValidationFailed for what is no emoji, Conflict for a deleted message.
    """
    spelled = policy.check_emoji(emoji)
    message, view = await load_message_locked(work, actor, message_id)
    policy.check_react(actor, message, view.room, view.membership, now())
    if await _mine(work, actor, message, spelled) is not None:
        return MessageChange(message, None)
    counts = {
        group.emoji: group.count for group in (await reaction_groups(work.session, [message.id])).get(message.id, [])
    }
    policy.check_emoji_limit(spelled, counts)
    work.session.add(Reaction(message_id=message.id, emoji=spelled, user_id=actor.user_id, created_at=now()))
    return await _announce(work, actor, message, spelled, added=True)


async def remove_reaction(work: Work, actor: Actor, message_id: UUID | None, emoji: str) -> MessageChange:
    """The actor's emoji is not under the message. Announces ReactionChanged. Raises as `add_reaction`."""
    spelled = policy.check_emoji(emoji)
    message, view = await load_message_locked(work, actor, message_id)
    policy.check_remove_reaction(view.room, view.membership)
    mine = await _mine(work, actor, message, spelled)
    if mine is None:
        return MessageChange(message, None)
    await work.session.delete(mine)
    return await _announce(work, actor, message, spelled, added=False)


async def _mine(work: Work, actor: Actor, message: Message, emoji: str) -> Reaction | None:
    return await work.session.get(Reaction, (message.id, emoji, actor.user_id))


async def _announce(work: Work, actor: Actor, message: Message, emoji: str, *, added: bool) -> MessageChange:
    await work.session.flush()
    event = ReactionChanged(
        room_id=message.room_id,
        at=now(),
        message_id=message.id,
        emoji=emoji,
        user_id=actor.user_id,
        added=added,
        count=await reaction_count(work.session, message.id, emoji),
    )
    return MessageChange(message, (await work.record(event)).seq)


# ------------------------------------------------------------------ questions


async def reaction_groups(session: AsyncSession, message_ids: Collection[UUID]) -> dict[UUID, list[ReactionGroup]]:
    """What is under each of these messages, in the order in which the emoji first came."""
    rows = await fetch(
        session,
        sa.select(col(Reaction.message_id), col(Reaction.emoji), func.count())
        .where(col(Reaction.message_id).in_(message_ids))
        .group_by(col(Reaction.message_id), col(Reaction.emoji))
        .order_by(func.min(Reaction.created_at), col(Reaction.emoji)),
    )
    found: dict[UUID, list[ReactionGroup]] = {}
    for message_id, emoji, people in rows:
        found.setdefault(message_id, []).append(ReactionGroup(message_id, emoji, people))
    return found


async def own_emoji(
    session: AsyncSession, pairs: Collection[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], frozenset[str]]:
    """By (message, user): the emoji that this person put there."""
    place = col(Reaction.message_id), col(Reaction.user_id)
    rows = await session.exec(select(Reaction).where(among(place, pairs)))
    found: dict[tuple[UUID, UUID], frozenset[str]] = {}
    for row in rows:
        key = (row.message_id, row.user_id)
        found[key] = found.get(key, frozenset()) | {row.emoji}
    return found


async def reacting_users(session: AsyncSession, group: ReactionGroup, window: Window) -> Page[tuple[User]]:
    """Who is in a group, the first first."""
    keys = [Key(sa.inspect(Reaction).c.created_at), Key(sa.inspect(Reaction).c.user_id)]
    people = _in_group(sa.select(User).join(Reaction, col(Reaction.user_id) == User.id), group.message_id, group.emoji)
    return await page(session, "reacted", people, keys, window)


async def reaction_count(session: AsyncSession, message_id: UUID, emoji: str) -> int:
    return await count(session, _in_group(sa.select(func.count()).select_from(Reaction), message_id, emoji))


def _in_group(rows: "sa.Select[*tuple[Any, ...]]", message_id: UUID, emoji: str) -> "sa.Select[*tuple[Any, ...]]":
    return rows.where(col(Reaction.message_id) == message_id, col(Reaction.emoji) == emoji)
