"""Mentions: `@name` and `@room` in the text of a message, but not in its code."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts.models import User
from roomcast.core.columns import table
from roomcast.core.direct_queries import DirectQuery, fetch
from roomcast.core.keyed_reads import KeyedRead, group_pairs, is_key, key_parameters
from roomcast.messages.markdown import plain_texts
from roomcast.messages.models import Mention, Message
from roomcast.rooms.models import Membership

ROOM = "room"
MAX_NAMES = 100
"""Users that one message can mention. Further names are plain text."""

CACHE_SIZE = 2_000
"""Bodies whose mentions are kept: each is parsed several times while it is stored."""

_NAME = re.compile(r"(?<![\w@/.])@([A-Za-z0-9][A-Za-z0-9_.-]{1,31})(?!\w)", re.ASCII)
"""ASCII only, as usernames are. In scripts without spaces a word can follow a name directly."""


@dataclass(frozen=True, slots=True)
class MentionedNames:
    """`names`: for each name its possible readings, longest first, because a trailing dot may end the name or the
    sentence."""

    names: Sequence[Sequence[str]] = ()
    room: bool = False


@lru_cache(maxsize=CACHE_SIZE)
def find_mentions(body: str) -> MentionedNames:
    """The names that a body mentions, in the order of their first mention."""
    if "@" not in body:
        return MentionedNames()
    found = [match.casefold() for text in plain_texts(body) for match in _NAME.findall(text)]
    names = dict.fromkeys(found)
    room = any(name.rstrip("._-") == ROOM for name in names)
    return MentionedNames([_readings(name) for name in names][:MAX_NAMES], room)


def _readings(name: str) -> list[str]:
    shorter = len(name.rstrip("._-"))
    return [name[:length] for length in range(len(name), shorter - 1, -1)]


async def store_mentions(session: AsyncSession, messages: Sequence[Message]) -> Mapping[UUID, Collection[UUID]]:
    """Store which room members these messages mention. Returns the members by message id.

    Runs no statement when there are no mentions.
    """
    named = {message.id: find_mentions(message.body or "") for message in messages}
    usernames = {reading for found_names in named.values() for readings in found_names.names for reading in readings}
    if not usernames:
        return {}
    members = await _members_by_name(session, {message.room_id for message in messages}, usernames)
    mentioned = {
        message.id: _mentioned_members(named[message.id], members.get(message.room_id, {})) for message in messages
    }
    rows = [
        {
            "message_id": message.id,
            "user_id": user_id,
            "room_id": message.room_id,
            "seq": message.seq,
            "thread_root_id": message.thread_root_id,
        }
        for message in messages
        for user_id in mentioned[message.id]
    ]
    if rows:
        await session.exec(sa.insert(table(Mention)), params=rows)
    return mentioned


def _mentioned_members(named: MentionedNames, members: dict[str, UUID]) -> Collection[UUID]:
    found = (next((members[name] for name in readings if name in members), None) for readings in named.names)
    return {user_id for user_id in found if user_id is not None}


async def _members_by_name(
    session: AsyncSession, room_ids: Collection[UUID], names: Collection[str]
) -> dict[UUID, dict[str, UUID]]:
    """User ids by room and folded username."""
    rows = await fetch(
        session,
        sa.select(col(Membership.room_id), col(User.username_key), col(User.id))
        .join(User, col(User.id) == Membership.user_id)
        .where(col(Membership.room_id).in_(room_ids), col(User.username_key).in_(names)),
    )
    members: dict[UUID, dict[str, UUID]] = {}
    for room_id, name, user_id in rows:
        members.setdefault(room_id, {})[name] = user_id
    return members


_MENTIONED = (
    sa.select(col(Mention.message_id), col(Mention.user_id))
    .where(is_key([col(Mention.message_id)]))
    .order_by(col(Mention.user_id))
)
mentioned_user_ids: KeyedRead[UUID, list[UUID]] = KeyedRead(
    lambda message_ids: DirectQuery(_MENTIONED, key_parameters(message_ids)), group_pairs
)
"""By message id: the users that each of these messages mentions."""
