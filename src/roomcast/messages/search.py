"""Message search: finds messages that contain every word of the query, in the rooms that the actor is a member of.

A word matches anywhere, also within other words, so that languages without spaces need no special treatment. Trigram
indexes find words of three or more characters, and an index of pairs those of two characters in scripts without spaces.
Other short words are looked for in the remaining messages.
"""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.columns import table
from roomcast.core.db import Work
from roomcast.core.direct_queries import execute_direct
from roomcast.core.errors import BadUserInput
from roomcast.core.event_log import RoomHead
from roomcast.core.offload import offload
from roomcast.core.paging import Key, Page, Window, page
from roomcast.core.text_folding import letter_pairs, search_form
from roomcast.messages.markdown import MAX_INLINE_LENGTH
from roomcast.messages.models import Message, MessageText
from roomcast.messages.policy import MAX_BODY
from roomcast.rooms.models import Membership

MAX_QUERY, MAX_WORDS = 200, 10
MAX_TEXT = 2 * MAX_BODY
"""Characters of a message's search form. Folding can lengthen a text: one ligature becomes eighteen letters."""

MAX_IDS = 100
"""Rooms, and authors, in a filter."""

CACHE_SIZE = 500
"""Search forms that are kept from `warm_text_caches` until the batch that stores them."""

SNIPPET_LENGTH, SNIPPET_LEAD = 160, 40
"""Characters of a snippet, and of it before the first match."""

_IDS, _SEQS = postgresql.ARRAY(sa.Uuid()), postgresql.ARRAY(sa.BigInteger())
_STRINGS = postgresql.ARRAY(sa.Text())
_HEADS_COLUMNS = sa.column("known_room_id", sa.Uuid()), sa.column("known_seq", sa.BigInteger())
_WORDS = re.compile(r'"([^"]+)"|(\S+)')
_TEXTS = table(MessageText)
_INSERT = sa.insert(_TEXTS)
_INDEX, _PAIRS = (
    sa.table(name, sa.column("rowid", sa.Integer), sa.column(name, sa.Text))
    for name in ("message_search", "message_search_pairs")
)


@dataclass(frozen=True, slots=True)
class SearchFilter:
    room_ids: Sequence[UUID | None] | None = None
    author_ids: Sequence[UUID | None] | None = None
    before: datetime | None = None
    after: datetime | None = None
    has_attachment: bool | None = None


# ------------------------------------------------------------------ indexing


async def index_messages(work: Work, messages: Sequence[Message]) -> None:
    """Add new messages to the search index."""
    rows = [
        {"message_id": message.id, "room_id": message.room_id, "text": searchable_text(message.body or "")}
        for message in messages
    ]
    await execute_direct(work.session, _INSERT, rows)


async def reindex_message(work: Work, message: Message) -> None:
    """Update the search index after an edit."""
    changed = sa.update(_TEXTS).where(_TEXTS.c.message_id == message.id)
    await work.session.exec(changed.values(text=searchable_text(message.body or "")))


async def unindex_message(work: Work, message: Message) -> None:
    """Remove the message from the search index."""
    await work.session.exec(sa.delete(_TEXTS).where(_TEXTS.c.message_id == message.id))


@lru_cache(maxsize=CACHE_SIZE)
def searchable_text(body: str) -> str:
    """The search form of a body."""
    return search_form(body, MAX_TEXT)[:MAX_TEXT]


# ------------------------------------------------------------------ searching


def parse_query(query: str) -> list[str]:
    """The distinct words of a query in their search form. Quotes keep words together. Raises BadUserInput."""
    if len(query) > MAX_QUERY:
        raise BadUserInput(f"A search query has at most {MAX_QUERY} characters.", path=["query"])
    found = [search_form(quoted or bare).replace("\0", "") for quoted, bare in _WORDS.findall(query)]
    words = [word for word in dict.fromkeys(found) if word]
    if not words or len(words) > MAX_WORDS:
        raise BadUserInput(f"A search query has 1 to {MAX_WORDS} words.", path=["query"])
    if sum(map(len, words)) > MAX_QUERY:
        raise BadUserInput(
            f"A search query has at most {MAX_QUERY} characters after ligatures are expanded.", path=["query"]
        )
    return words


async def heads_of_rooms(session: AsyncSession, actor: Actor, filter_: SearchFilter) -> Mapping[UUID, int]:
    """The last seq of each room that a search of this actor looks into."""
    own = (
        select(RoomHead.room_id, RoomHead.last_seq)
        .join(Membership, col(Membership.room_id) == RoomHead.room_id)
        .where(Membership.user_id == actor.user_id)
    )
    if filter_.room_ids is not None:
        own = own.where(col(Membership.room_id).in_(_known_ids(filter_.room_ids, "roomIds")))
    return dict((await session.exec(own)).all())


async def search_messages(
    session: AsyncSession,
    actor: Actor,
    words: Sequence[str],
    filter_: SearchFilter,
    window: Window,
    heads: Mapping[UUID, int] | None = None,
) -> Page[tuple[Message]]:
    """Messages that contain every word, newest first. The same statement restricts them to the actor's rooms.

    `heads`: only messages of these rooms, up to these seqs. A replica may not know yet that the actor has left a room.
    """
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    own: sa.ColumnElement[bool] = col(Membership.user_id) == actor.user_id
    if on_sqlite:  # Otherwise SQLite reads all messages of the actor's rooms instead of the newest first.
        own = sa.func.likely(own)
    found = (
        sa.select(Message)
        .join(_TEXTS, _TEXTS.c.message_id == col(Message.id))
        .join(Membership, sa.and_(col(Membership.room_id) == col(Message.room_id), own))
        .where(*(_TEXTS.c.text.like(_like_pattern(word), escape="\\") for word in words))
    )
    if heads is not None:
        found = _up_to(found, heads)
    newest: sa.ColumnElement[int] = _TEXTS.c.id
    pairs = [word for word in words if len(word) == 2 and letter_pairs(word)]
    if on_sqlite:
        phrases = ['"' + word.replace('"', '""') + '"' for word in words if len(word) >= 3]
        for index, wanted in ((_INDEX, phrases), (_PAIRS, [letter_pairs(word) for word in pairs])):
            if wanted:
                found = found.join(index, index.c.rowid == _TEXTS.c.id)
                found = found.where(index.c[index.name].op("MATCH")(" ".join(wanted)))
                # The same number as the id. Ordered by it, SQLite reads the index in this order and stops at the limit.
                newest = index.c.rowid
    elif pairs:
        found = found.where(*_has_pairs(pairs))
    return await page(session, "search", _filtered(found, filter_), [Key(newest, descending=True)], window)


def _has_pairs(pairs: Sequence[str]) -> tuple[sa.ColumnElement[bool], ...]:
    """In the words of migration 0012, so that PostgreSQL uses its index."""
    text = _TEXTS.c.text
    return (
        sa.func.octet_length(text) > sa.func.char_length(text),
        sa.func.message_search_pairs(text, type_=_STRINGS).contains(sa.cast(pairs, _STRINGS)),
    )


def _up_to(found: "sa.Select[*tuple[Any, ...]]", heads: Mapping[UUID, int]) -> "sa.Select[*tuple[Any, ...]]":
    """Only messages of these rooms, up to these seqs (PostgreSQL)."""
    ids, seqs = list(heads), list(heads.values())
    pairs = sa.func.unnest(sa.cast(ids, _IDS), sa.cast(seqs, _SEQS))
    known = pairs.table_valued(*_HEADS_COLUMNS).render_derived("known")
    return found.join(
        known, sa.and_(known.c.known_room_id == col(Message.room_id), known.c.known_seq >= col(Message.seq))
    )


def _filtered(found: "sa.Select[*tuple[Any, ...]]", filter_: SearchFilter) -> "sa.Select[*tuple[Any, ...]]":
    if filter_.room_ids is not None:
        found = found.where(col(Message.room_id).in_(_known_ids(filter_.room_ids, "roomIds")))
    if filter_.author_ids is not None:
        found = found.where(col(Message.author_id).in_(_known_ids(filter_.author_ids, "authorIds")))
    if filter_.before is not None:
        found = found.where(col(Message.created_at) < filter_.before)
    if filter_.after is not None:
        found = found.where(col(Message.created_at) > filter_.after)
    if filter_.has_attachment is not None:
        found = found.where(col(Message.has_attachments) == filter_.has_attachment)
    return found


def _known_ids(ids: Sequence[UUID | None], name: str) -> list[UUID]:
    """The ids that are valid. Raises BadUserInput when there are too many."""
    if len(ids) > MAX_IDS:
        raise BadUserInput(f"A search filter has at most {MAX_IDS} ids.", path=["filter", name])
    return [id_ for id_ in ids if id_]


def _like_pattern(word: str) -> str:
    return "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


# ------------------------------------------------------------------ snippets


async def snippet_async(owner: Hashable, body: str, words: Sequence[str]) -> str:
    """`snippet`, in a worker thread for a long body. Each owner has one thread job at a time."""
    return snippet(body, words) if len(body) <= MAX_INLINE_LENGTH else await offload(owner, snippet, body, words)


def snippet(body: str, words: Sequence[str]) -> str:
    """The part of the body around the first match, as HTML: escaped, with the matches in <mark>."""
    spans = _spans(body, words)
    start = max(0, spans[0][0] - SNIPPET_LEAD) if spans else 0
    end = min(len(body), start + SNIPPET_LENGTH)
    shown, at = ["…" if start else ""], start
    for first, last in spans:
        shown += [escape(body[at:first]), "<mark>", escape(body[first : min(last, end)]), "</mark>"]
        at = min(last, end)
    shown += [escape(body[at:end]), "…" if end < len(body) else ""]
    return "".join(shown)


def _spans(body: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """The (start, end) of the matches in the snippet's range, in order. Overlapping and adjacent ones are merged."""
    text, offsets = _fold_with_offsets(body)
    first = min((at for word in words if (at := text.find(word)) >= 0), default=None)
    if first is None:
        return []
    end = max(0, offsets[first] - SNIPPET_LEAD) + SNIPPET_LENGTH
    spans: list[tuple[int, int]] = []
    for start, last in sorted(span for word in words for span in _matches(word, text, offsets, first, end)):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
        else:
            spans.append((start, last))
    return spans


def _matches(word: str, text: str, offsets: Sequence[int], first: int, end: int) -> Iterator[tuple[int, int]]:
    """The (start, end) of the word in the body. `first`: where to start in the folded text; `end`: where to stop in the
    body."""
    at = text.find(word, first)
    while at >= 0 and offsets[at] < end:
        last = at + len(word)
        yield offsets[at], max(offsets[last - 1] + 1, offsets[last])
        at = text.find(word, last)


def _fold_with_offsets(body: str) -> tuple[str, list[int]]:
    """The body's search form, and for each of its characters the offset in the body. The last offset is the body's
    length.

    A character that folds to nothing, like a combining accent, belongs to the character before it.
    """
    letters, offsets = list[str](), list[int]()
    for offset, char in enumerate(body):
        for letter in " " if char.isspace() else _fold_character(char):
            if letter != " " or letters[-1:] != [" "]:
                letters.append(letter)
                offsets.append(offset)
        if len(letters) > MAX_TEXT:
            break
    return "".join(letters), [*offsets, len(body)]


_fold_character = lru_cache(maxsize=4096)(search_form)
"""Cached: a text repeats its characters."""
