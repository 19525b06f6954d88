"""Who follows a thread, and how far they have read it. Written in the transaction of the reply or edit that causes it.

A user follows a thread when they reply, are mentioned in a reply or in the first message, or wrote the first message,
until they decide otherwise. Messages outside threads run no statement here.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.columns import higher, table
from roomcast.core.direct_queries import execute_direct
from roomcast.messages.mentions import mentioned_user_ids
from roomcast.messages.models import Message, MessageRow, ThreadState

Mentioned: TypeAlias = Mapping[UUID, Collection[UUID]]
"""By message id: the users that the message mentions."""

StateRow: TypeAlias = dict[str, Any]

_STATES = table(ThreadState)


def _merge_statement(insert: Callable[[sa.Table], Any]) -> Any:
    """Insert a state, or merge it into the existing one: a decision about following stays, positions only rise."""
    statement = insert(_STATES)
    new, old = statement.excluded, _STATES.c
    return statement.on_conflict_do_update(
        index_elements=[old.root_id, old.user_id],
        set_={
            "is_following": sa.func.coalesce(old.is_following, new.is_following),
            "follows_after_seq": sa.case(
                (old.is_following.is_(None), new.follows_after_seq), else_=old.follows_after_seq
            ),
            "last_read_seq": higher(old.last_read_seq, new.last_read_seq),
            "last_mention_seq": higher(old.last_mention_seq, new.last_mention_seq),
        },
    )


_MERGE = {"sqlite": _merge_statement(sqlite.insert), "postgresql": _merge_statement(postgresql.insert)}


async def merge_states(session: AsyncSession, rows: Sequence[StateRow]) -> None:
    """Store these states, see `state_row`. Runs no statement when there are none."""
    if rows:
        await execute_direct(session, _MERGE[session.get_bind().dialect.name], rows)


def state_row(
    root_id: UUID,
    room_id: UUID,
    user_id: UUID,
    *,
    follows_after: int | None = None,
    read: int = 0,
    mentioned: int = 0,
) -> StateRow:
    """`follows_after`: the seq after which replies are unread for a user who begins to follow; None for one who does
    not."""
    return {
        "root_id": root_id,
        "user_id": user_id,
        "room_id": room_id,
        "is_following": None if follows_after is None else True,
        "follows_after_seq": follows_after or 0,
        "last_read_seq": read,
        "last_mention_seq": mentioned,
    }


async def update_followers(
    session: AsyncSession, messages: Sequence[Message], mentioned: Mentioned, roots: Mapping[UUID, MessageRow]
) -> None:
    """Let users follow the threads in which these messages are replies: the authors of the replies and of the first
    message, and the users whom either mentions.

    The author of a reply has read the thread up to it. The others have not read the reply.
    """
    replies = [(message, message.thread_root_id) for message in messages if message.thread_root_id is not None]
    if not replies:
        return
    with_mentions = {root_id for _, root_id in replies if "@" in (roots[root_id].body or "")}
    in_roots = await mentioned_user_ids(session, with_mentions) if with_mentions else {}
    rows = [
        row
        for reply, root_id in replies
        for row in _follower_rows(reply, roots[root_id], mentioned.get(reply.id, ()), in_roots.get(root_id, ()))
    ]
    await merge_states(session, rows)


def _follower_rows(
    reply: Message, root: MessageRow, in_reply: Collection[UUID], in_root: Collection[UUID]
) -> Iterator[StateRow]:
    place = root.id, reply.room_id
    if reply.author_id is not None:
        yield state_row(*place, reply.author_id, follows_after=reply.seq, read=reply.seq)
    # In one order: two transactions that merge the same states do not wait for each other in a circle.
    for user_id in sorted({*in_reply, *in_root, *([root.author_id] if root.author_id else [])} - {reply.author_id}):
        seq = reply.seq if user_id in in_reply else 0
        yield state_row(*place, user_id, follows_after=reply.seq - 1, mentioned=seq)


async def follow_mentions(session: AsyncSession, reply: Message, mentioned: Collection[UUID]) -> None:
    """Let the users whom an edited reply mentions follow its thread, from this reply on."""
    if reply.thread_root_id is not None:
        place = reply.thread_root_id, reply.room_id
        others = sorted(set(mentioned) - {reply.author_id})
        await merge_states(
            session, [state_row(*place, id_, follows_after=reply.seq - 1, mentioned=reply.seq) for id_ in others]
        )
