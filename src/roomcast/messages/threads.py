"""Threads: the replies to one message. They are counted on demand, so there is no counter to keep right."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, func

from roomcast.core.direct_queries import DirectQuery, DirectRead
from roomcast.core.errors import NotFound
from roomcast.core.keyed_reads import KeyedRead, group_pairs, is_key, key_parameters
from roomcast.messages.models import Message

MAX_PARTICIPANTS = 5
"""Users who are shown with a thread."""


@dataclass(frozen=True, slots=True)
class Thread:
    """`id`: that of the first message. Deleted replies are counted: they keep their places. `last_reply_seq`: None
    without replies."""

    id: UUID
    room_id: UUID
    reply_count: int = 0
    last_reply_seq: int | None = None


_ROOT, _AUTHOR, _SEQ = col(Message.thread_root_id), col(Message.author_id), col(Message.seq)
_THREADS = (
    sa.select(_ROOT, col(Message.room_id), func.count().label("reply_count"), func.max(_SEQ).label("last_reply_seq"))
    .where(is_key([_ROOT]))
    .group_by(_ROOT, col(Message.room_id))
)
_PLACE = func.row_number().over(partition_by=_ROOT, order_by=func.max(_SEQ).desc()).label("place")
_RANKED = (
    sa.select(_ROOT.label("root_id"), _AUTHOR.label("user_id"), _PLACE)
    .where(is_key([_ROOT]), _AUTHOR.is_not(None))
    .group_by(_ROOT, _AUTHOR)
    .subquery()
)
_PARTICIPANTS = (
    sa.select(_RANKED.c.root_id, _RANKED.c.user_id)
    .where(_RANKED.c.place <= MAX_PARTICIPANTS)
    .order_by(_RANKED.c.root_id, _RANKED.c.place)
)

threads_by_root: KeyedRead[UUID, Thread] = KeyedRead(
    lambda root_ids: DirectQuery(_THREADS, key_parameters(root_ids)),
    lambda rows: {row[0]: Thread(*row) for row in rows},
)
"""By root id. Messages without replies are left out."""

participant_ids: KeyedRead[UUID, list[UUID]] = KeyedRead(
    lambda root_ids: DirectQuery(_PARTICIPANTS, key_parameters(root_ids)), group_pairs
)
"""By root id: the users who replied, the one with the newest reply first, at most MAX_PARTICIPANTS."""


_THREAD_ROOT = sa.select(col(Message.id)).where(
    col(Message.id) == sa.bindparam("root_id"), col(Message.room_id) == sa.bindparam("room_id")
)


def thread_root_read(room_id: UUID, root_id: UUID | None) -> DirectRead[None]:
    """A read that raises NotFound if this is no message of this room."""

    def finish(rows: Sequence[object]) -> None:
        if not rows:
            raise NotFound("There is no such message in this room.")

    return DirectRead([DirectQuery[object](_THREAD_ROOT, {"root_id": root_id, "room_id": room_id})], finish)
