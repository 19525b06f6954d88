"""Payloads of pushes: enough to show a notification without asking the server, and short enough for every push
service."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts import queries as accounts
from roomcast.core.ids import global_id
from roomcast.messages.markdown import markdown_parser
from roomcast.messages.queries import messages_at
from roomcast.notifications import unseen
from roomcast.notifications.pending import Claim
from roomcast.notifications.unseen import Key
from roomcast.receipts import queries as receipts
from roomcast.rooms.models import RoomKind
from roomcast.rooms.queries import rooms_by_id

PAYLOAD_VERSION = 1
MAX_EXCERPT = 200
"""Characters of a message."""

MAX_READ = 1_000
"""Characters of a message that its excerpt is made from: a long one can be written so that parsing it takes long."""

CACHE_SIZE = 100
"""Excerpts that are kept: one message is pushed to many browsers."""


@dataclass(frozen=True, slots=True)
class PushPayload:
    """`newest_seq`: the newest message that this payload covers."""

    payload: bytes
    urgent: bool
    newest_seq: int


async def build_payloads(session: AsyncSession, claims: Collection[Claim], moment: datetime) -> dict[Key, PushPayload]:
    """The payloads of these claims. Claims without unseen messages are left out."""
    spans = await unseen.still_unseen(session, [claim.key for claim in claims], moment)
    user_ids = {claim.key: claim.subscription.user_id for claim in claims if claim.key in spans}
    room_ids = {room_id for _, room_id in spans}
    rooms = await rooms_by_id(session, room_ids)
    messages = await messages_at(session, {(room_id, span.newest) for (_, room_id), span in spans.items()})
    authors = await accounts.users_by_id(session, {m.author_id for m in messages.values() if m.author_id})
    unread = await receipts.read_states(session, {(key[1], user_id) for key, user_id in user_ids.items()})
    totals = await receipts.unread_totals(session, set(user_ids.values()))
    payloads = {}
    for key, user_id in user_ids.items():
        room, span = rooms[key[1]], spans[key]
        message = messages[room.id, span.newest]
        author = authors.get(message.author_id) if message.author_id else None
        payload = {
            "v": PAYLOAD_VERSION,
            "roomId": global_id("room", room.id),
            "roomKind": room.kind,
            "roomName": room.name,
            "messageId": global_id("msg", message.id),
            "threadRootId": global_id("msg", message.thread_root_id) if message.thread_root_id else None,
            "seq": message.seq,
            "at": message.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "author": author.display_name if author else None,
            "text": excerpt(message.body or ""),
            "hasAttachments": message.has_attachments,
            "mention": span.has_mention,
            "unread": unread[room.id, user_id].unread_count,
            "badge": totals[user_id].unread if user_id in totals else 0,
        }
        is_urgent = span.has_mention or room.kind == RoomKind.DIRECT
        payloads[key] = PushPayload(orjson.dumps(payload), is_urgent, span.newest)
    return payloads


@lru_cache(maxsize=CACHE_SIZE)
def excerpt(body: str) -> str:
    """The text of the body on one line, without Markdown syntax."""
    line = " ".join("".join(_texts(body[:MAX_READ])).split())
    return line if len(line) <= MAX_EXCERPT and len(body) <= MAX_READ else f"{line[: MAX_EXCERPT - 1].rstrip()}…"


def _texts(body: str) -> Iterator[str]:
    for block in markdown_parser().parse(body):
        if block.type in ("fence", "code_block"):
            yield f"{block.content} "
        for token in block.children or ():
            yield " " if token.type in ("softbreak", "hardbreak") else token.content
        if block.children:
            yield " "
