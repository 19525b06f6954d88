"""Reactions: each user can react once with each emoji to a message."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import User
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.direct_queries import DirectQuery, count
from roomcast.core.keyed_reads import KeyedRead, group_pairs, is_key, key_parameters
from roomcast.core.paging import Key, Page, Window, page
from roomcast.messages import policy
from roomcast.messages.editing import MessageChange, load_message_locked
from roomcast.messages.events import ReactionChanged
from roomcast.messages.models import Message, Reaction


@dataclass(frozen=True, slots=True)
class ReactionGroup:
    """The reactions with one emoji to one message."""

    message_id: UUID
    emoji: str
    count: int


# ------------------------------------------------------------------ changes


async def add_reaction(work: Work, actor: Actor, message_id: UUID | None, emoji: str) -> MessageChange:
    """React to the message. Announces ReactionChanged. Reacting again changes nothing.

    Raises NotFound, everything that sending raises, ValidationFailed when the text is not an emoji, Conflict when the
    message is deleted.
    """
    qualified = policy.check_emoji(emoji)
    message, view = await load_message_locked(work, actor, message_id)
    policy.check_react(actor, message, view.room, view.membership, now())
    if await _own_reaction(work, actor, message, qualified) is not None:
        return MessageChange(message, None)
    present = (await reaction_groups(work.session, [message.id])).get(message.id, [])
    policy.check_emoji_limit(qualified, [group.emoji for group in present])
    work.session.add(
        Reaction(
            message_id=message.id,
            emoji=qualified,
            user_id=actor.user_id,
            created_at=now(),
            room_id=message.room_id,
        )
    )
    return await _announce(work, actor, message, qualified, added=True)


async def remove_reaction(work: Work, actor: Actor, message_id: UUID | None, emoji: str) -> MessageChange:
    """Remove the actor's reaction. Announces ReactionChanged. Raises NotFound, NotAMember, RoomArchived,
    ValidationFailed."""
    qualified = policy.check_emoji(emoji)
    message, view = await load_message_locked(work, actor, message_id)
    policy.check_remove_reaction(view.room, view.membership)
    own = await _own_reaction(work, actor, message, qualified)
    if own is None:
        return MessageChange(message, None)
    await work.session.delete(own)
    return await _announce(work, actor, message, qualified, added=False)


async def _own_reaction(work: Work, actor: Actor, message: Message, emoji: str) -> Reaction | None:
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


# ------------------------------------------------------------------ reads


_GROUPS = (
    sa.select(col(Reaction.message_id), col(Reaction.emoji), func.count().label("count"))
    .where(is_key([col(Reaction.message_id)]))
    .group_by(col(Reaction.message_id), col(Reaction.emoji))
    .order_by(func.min(Reaction.created_at), col(Reaction.emoji))
)
_OWN = sa.select(col(Reaction.message_id), col(Reaction.user_id), col(Reaction.emoji)).where(
    is_key([col(Reaction.message_id), col(Reaction.user_id)], searched=1)  # not by user: they may have any number
)

reaction_groups: KeyedRead[UUID, list[ReactionGroup]] = KeyedRead(
    lambda message_ids: DirectQuery(_GROUPS, key_parameters(message_ids)),
    lambda rows: group_pairs([(row.message_id, ReactionGroup(*row)) for row in rows]),
)
"""By message id: its reaction groups, in the order in which each emoji was first used."""

own_emoji: KeyedRead[tuple[UUID, UUID], list[str]] = KeyedRead(
    lambda pairs: DirectQuery(_OWN, key_parameters(pairs)),
    lambda rows: group_pairs([((row.message_id, row.user_id), row.emoji) for row in rows]),
)
"""By (message, user): the emoji this user reacted with."""


async def reacting_users(session: AsyncSession, group: ReactionGroup, window: Window) -> Page[tuple[User]]:
    """The users of a group, in the order in which they reacted."""
    keys = [Key(sa.inspect(Reaction).c.created_at), Key(sa.inspect(Reaction).c.user_id)]
    users = _in_group(sa.select(User).join(Reaction, col(Reaction.user_id) == User.id), group.message_id, group.emoji)
    return await page(session, "reacted", users, keys, window)


async def reaction_count(session: AsyncSession, message_id: UUID, emoji: str) -> int:
    return await count(session, _in_group(sa.select(func.count()).select_from(Reaction), message_id, emoji))


def _in_group(rows: "sa.Select[*tuple[Any, ...]]", message_id: UUID, emoji: str) -> "sa.Select[*tuple[Any, ...]]":
    return rows.where(col(Reaction.message_id) == message_id, col(Reaction.emoji) == emoji)
