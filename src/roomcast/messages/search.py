"""Searching messages: every word of the question, anywhere in them, in any script; only in rooms one is in.

A word is found wherever its letters stand, so that languages without spaces and the middles of words need nothing of
their own. Indexes of three letters in a row do the work; shorter words are looked for in what the rest has left.
"""

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core.actor import Actor
from roomcast.core.columns import table
from roomcast.core.db import Work
from roomcast.core.direct_queries import execute_direct
from roomcast.core.errors import BadUserInput
from roomcast.core.offload import offload
from roomcast.core.paging import Key, Page, Window, page
from roomcast.core.text_folding import search_form
from roomcast.messages.markdown import MAX_INLINE_LENGTH
from roomcast.messages.models import Message, MessageText
from roomcast.messages.policy import MAX_BODY
from roomcast.rooms.models import Membership

MAX_QUESTION, MAX_WORDS = 200, 10
MAX_TEXT = 2 * MAX_BODY
"""Characters of a message that it is found by. Ligatures come apart, one of them into eighteen."""

MAX_IDS = 100
"""Rooms, and authors, that a search can be narrowed to."""

REMEMBERED = 500
"""Bodies whose texts are at hand between `prepare` and the batch that stores them."""

SNIPPET, LEAD = 160, 40
"""Characters of an excerpt, and of it before the first find."""

_WORDS = re.compile(r'"([^"]+)"|(\S+)')
_TEXTS = table(MessageText)
_INSERT = sa.insert(_TEXTS)
_INDEX = sa.table("message_search", sa.column("rowid", sa.Integer), sa.column("message_search", sa.Text))


@dataclass(frozen=True, slots=True)
class SearchFilter:
    room_ids: Sequence[UUID | None] | None = None
    author_ids: Sequence[UUID | None] | None = None
    before: datetime | None = None
    after: datetime | None = None
    has_attachment: bool | None = None


# ------------------------------------------------------------------ keeping the texts


async def index_messages(work: Work, messages: Sequence[Message]) -> None:
    """Make these new messages findable."""
    rows = [{"message_id": message.id, "text": searchable_text(message.body or "")} for message in messages]
    await execute_direct(work.session, _INSERT, rows)


async def reindex_message(work: Work, message: Message) -> None:
    """The message is found by what it says now."""
    changed = sa.update(_TEXTS).where(_TEXTS.c.message_id == message.id)
    await work.session.exec(changed.values(text=searchable_text(message.body or "")))


async def unindex_message(work: Work, message: Message) -> None:
    """The message is found by nothing."""
    await work.session.exec(sa.delete(_TEXTS).where(_TEXTS.c.message_id == message.id))


@lru_cache(maxsize=REMEMBERED)
def searchable_text(body: str) -> str:
    """What a message of this body is found by."""
    return search_form(body, MAX_TEXT)[:MAX_TEXT]


# ------------------------------------------------------------------ asking


def parse_query(question: str) -> list[str]:
    """What is looked for, each once, as texts are kept; quotes hold words together. Raises BadUserInput."""
    if len(question) > MAX_QUESTION:
        raise BadUserInput(f"a search has at most {MAX_QUESTION} characters", path=["query"])
    found = [search_form(quoted or bare).replace("\0", "") for quoted, bare in _WORDS.findall(question)]
    words = [word for word in dict.fromkeys(found) if word]
    if not words or len(words) > MAX_WORDS:
        raise BadUserInput(f"a search has 1 to {MAX_WORDS} words", path=["query"])
    if sum(map(len, words)) > MAX_QUESTION:
        raise BadUserInput(f"a search has at most {MAX_QUESTION} characters, ligatures taken apart", path=["query"])
    return words


async def search_messages(
    session: AsyncSession, actor: Actor, words: Sequence[str], wanted: SearchFilter, window: Window
) -> Page[tuple[Message]]:
    """Messages that hold every word, the newest first, of rooms that the actor is in: one statement says both."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    mine: sa.ColumnElement[bool] = col(Membership.user_id) == actor.user_id
    if on_sqlite:  # which would else read all that was said in one's rooms instead of the newest texts first
        mine = sa.func.likely(mine)
    found = (
        sa.select(Message)
        .join(_TEXTS, _TEXTS.c.message_id == col(Message.id))
        .join(Membership, sa.and_(col(Membership.room_id) == col(Message.room_id), mine))
        .where(*(_TEXTS.c.text.like(_anywhere(word), escape="\\") for word in words))
    )
    newest: sa.ColumnElement[int] = _TEXTS.c.id
    long = [word for word in words if len(word) >= 3]
    if long and on_sqlite:
        found = found.join(_INDEX, _INDEX.c.rowid == _TEXTS.c.id).where(
            _INDEX.c.message_search.op("MATCH")(" ".join(map(_quoted, long)))
        )
        newest = _INDEX.c.rowid  # the same number; named so, the index is read in this order and no further than needed
    return await page(session, "search", _filtered(found, wanted), [Key(newest, descending=True)], window)


def _filtered(found: "sa.Select[*tuple[Any, ...]]", wanted: SearchFilter) -> "sa.Select[*tuple[Any, ...]]":
    if wanted.room_ids is not None:
        found = found.where(col(Message.room_id).in_(_few(wanted.room_ids, "roomIds")))
    if wanted.author_ids is not None:
        found = found.where(col(Message.author_id).in_(_few(wanted.author_ids, "authorIds")))
    if wanted.before is not None:
        found = found.where(col(Message.created_at) < wanted.before)
    if wanted.after is not None:
        found = found.where(col(Message.created_at) > wanted.after)
    if wanted.has_attachment is not None:
        found = found.where(col(Message.has_attachments) == wanted.has_attachment)
    return found


def _few(ids: Sequence[UUID | None], name: str) -> list[UUID]:
    """Those that are ids at all. Raises BadUserInput for too many."""
    if len(ids) > MAX_IDS:
        raise BadUserInput(f"a search is narrowed to at most {MAX_IDS} of these", path=["filter", name])
    return [id_ for id_ in ids if id_]


def _anywhere(word: str) -> str:
    return "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


# ------------------------------------------------------------------ showing what was found


async def snippet_async(owner: Hashable, body: str, words: Sequence[str]) -> str:
    """As `snippet`; of a long body beside the event loop, one at a time for each owner."""
    return snippet(body, words) if len(body) <= MAX_INLINE_LENGTH else await offload(owner, snippet, body, words)


def snippet(body: str, words: Sequence[str]) -> str:
    """The part of the body where the words first stand, as HTML: escaped, and the words in <mark>."""
    spans = _spans(body, words)
    start = max(0, spans[0][0] - LEAD) if spans else 0
    end = min(len(body), start + SNIPPET)
    shown, at = ["…" if start else ""], start
    for first, last in spans:
        shown += [escape(body[at:first]), "<mark>", escape(body[first : min(last, end)]), "</mark>"]
        at = min(last, end)
    shown += [escape(body[at:end]), "…" if end < len(body) else ""]
    return "".join(shown)


def _spans(body: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where words stand in the excerpt around the first of them, from left to right and beside each other."""
    text, places = _folded(body)
    first = min((at for word in words if (at := text.find(word)) >= 0), default=None)
    if first is None:
        return []
    end = max(0, places[first] - LEAD) + SNIPPET
    spans: list[tuple[int, int]] = []
    for start, last in sorted(span for word in words for span in _found(word, text, places, first, end)):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
        else:
            spans.append((start, last))
    return spans


def _found(word: str, text: str, places: Sequence[int], first: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the word stands in the body, from the letter `first` of its text to before the place `end` of the body."""
    at = text.find(word, first)
    while at >= 0 and places[at] < end:
        last = at + len(word)
        yield places[at], max(places[last - 1] + 1, places[last])
        at = text.find(word, last)


def _folded(body: str) -> tuple[str, list[int]]:
    """The body as searches compare it, and where each character of that stands in the body; the last place is its end.

    What counts for nothing, like an accent that is a character of its own, goes with the character before it."""
    letters, places = list[str](), list[int]()
    for place, char in enumerate(body):
        for letter in " " if char.isspace() else _plain(char):
            if letter != " " or letters[-1:] != [" "]:
                letters.append(letter)
                places.append(place)
        if len(letters) > MAX_TEXT:
            break
    return "".join(letters), [*places, len(body)]


_plain = lru_cache(maxsize=4096)(search_form)
"""Of single characters, which a text has many times."""
