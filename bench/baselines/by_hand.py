"""A page of messages and a list of rooms with Starlette and aiosqlite by hand: a few statements, dicts, orjson.

It reads roomcast's database and answers with the same JSON as the documents of `bench.pages`. TOKENS has the user id of
each access token.
"""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiosqlite
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bench.baselines.serving import serve
from roomcast.uploads.links import AVATAR_LINK_WINDOW, Links

TOKENS = orjson.loads(os.environ["TOKENS"])
LINKS = Links([bytes.fromhex(os.environ["LINK_KEY"])])
MAX_UNREAD = 100

READABLE = """
SELECT 1 FROM rooms LEFT JOIN memberships ON room_id = id AND user_id = ?
WHERE id = ? AND (user_id IS NOT NULL OR visibility = 'PUBLIC')
"""
PAGE = """
SELECT m.seq, m.id, m.body, m.created_at, u.id, u.username, u.display_name, u.avatar_id, r.id, r.body, a.username
FROM messages m LEFT JOIN users u ON u.id = m.author_id
LEFT JOIN messages r ON r.id = m.reply_to_id LEFT JOIN users a ON a.id = r.author_id
WHERE m.room_id = ? AND m.thread_root_id IS NULL ORDER BY m.seq DESC LIMIT 51
"""
REACTIONS = """
SELECT message_id, emoji, count(*), max(user_id = ?) FROM reactions WHERE message_id IN ({})
GROUP BY message_id, emoji ORDER BY min(created_at), emoji
"""
ROOMS = """
WITH page AS (
    SELECT r.id, r.name, h.last_activity_at, h.last_activity_seq, me.user_id, me.last_read_seq
    FROM memberships me JOIN rooms r ON r.id = me.room_id JOIN room_heads h ON h.room_id = r.id
    WHERE me.user_id = ? AND r.archived_at IS NULL ORDER BY h.last_activity_at DESC, r.id DESC LIMIT 51
)
SELECT page.id, name, last_activity_at, m.id, m.body, m.created_at, u.username, last_read_seq,
    (SELECT count(*) FROM (
        SELECT 1 FROM messages WHERE room_id = page.id AND seq > last_read_seq AND author_id IS NOT page.user_id
        AND kind = 'USER' AND deleted_at IS NULL AND thread_root_id IS NULL LIMIT 101)),
    (SELECT count(*) FROM mentions WHERE user_id = page.user_id AND room_id = page.id AND seq > last_read_seq)
FROM page LEFT JOIN messages m ON m.room_id = page.id AND m.seq = last_activity_seq
LEFT JOIN users u ON u.id = m.author_id
ORDER BY last_activity_at DESC, page.id DESC
"""


async def messages(request: Request) -> Response:
    user, asked = TOKENS[request.headers["authorization"].removeprefix("Bearer ")], orjson.loads(await request.body())
    room = _hexadecimal(asked["variables"]["roomId"])
    database = request.app.state.database
    [_] = await database.execute_fetchall(READABLE, (user, room))
    rows = list(await database.execute_fetchall(PAGE, (room,)))
    more, rows = len(rows) > 50, rows[49::-1] if len(rows) > 50 else rows[::-1]
    reactions: dict[str, list[Any]] = {}
    found = await database.execute_fetchall(REACTIONS.format(",".join("?" * len(rows))), (user, *(r[1] for r in rows)))
    for message, emoji, count, own in found:
        reactions.setdefault(message, []).append({"emoji": emoji, "count": count, "viewerHasReacted": bool(own)})
    links = {row[7]: _avatar_url(row[7]) for row in rows}
    edges = [_edge(row, reactions.get(row[1], []), links[row[7]]) for row in rows]
    page = {"edges": edges, "pageInfo": {"hasNextPage": False, "hasPreviousPage": more}}
    return _answer({"messages": page})


async def rooms(request: Request) -> Response:
    user = TOKENS[request.headers["authorization"].removeprefix("Bearer ")]
    rows = list(await request.app.state.database.execute_fetchall(ROOMS, (user,)))
    page: dict[str, Any] = {"hasNextPage": len(rows) > 50, "endCursor": None}
    rows = rows[:50]
    if rows:
        active = datetime.fromisoformat(rows[-1][2]).replace(tzinfo=UTC).isoformat()
        page["endCursor"] = _cursor("rooms:LAST_ACTIVITY_DESC", active, _uuid(rows[-1][0]))
    return _answer({"rooms": {"nodes": [_room(row) for row in rows], "pageInfo": page}})


def _edge(row: Any, reactions: list[Any], avatar_url: str | None) -> dict[str, Any]:
    seq, id_, body, created_at, author, username, display_name, _, reply, reply_body, reply_author = row
    node = {
        "id": f"msg_{_uuid(id_)}",
        "seq": seq,
        "body": body,
        "createdAt": _timestamp(created_at),
        "author": author
        and {"id": f"user_{_uuid(author)}", "username": username, "displayName": display_name, "avatarUrl": avatar_url},
        "reactions": reactions,
        "replyTo": reply and {"id": f"msg_{_uuid(reply)}", "body": reply_body, "author": {"username": reply_author}},
    }
    return {"cursor": _cursor("messages", seq), "node": node}


def _room(row: Any) -> dict[str, Any]:
    id_, name, _, message, body, created_at, author, last_read_seq, unread, mentions = row
    return {
        "id": f"room_{_uuid(id_)}",
        "name": name,
        "lastMessage": message
        and {
            "id": f"msg_{_uuid(message)}",
            "body": body,
            "createdAt": _timestamp(created_at),
            "author": {"username": author},
        },
        "viewerMembership": {
            "lastReadSeq": last_read_seq,
            "unreadCount": min(unread, MAX_UNREAD),
            "unreadIsCapped": unread > MAX_UNREAD,
            "mentionCount": mentions,
        },
    }


def _answer(data: Any) -> Response:
    return Response(orjson.dumps({"data": data}), media_type="application/json")


def _cursor(*values: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).rstrip(b"=").decode()


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _hexadecimal(global_id: str) -> str:
    return global_id.partition("_")[2].replace("-", "")


def _timestamp(stored: str) -> str:
    """Stored as `2026-01-01 00:00:00.000000`."""
    return f"{stored[:10]}T{stored[11:23]}Z"


def _avatar_url(avatar_id: str | None) -> str | None:
    if avatar_id is None:
        return None
    return "http://127.0.0.1" + LINKS.read_path("thumbnails", _uuid(avatar_id), datetime.now(UTC), AVATAR_LINK_WINDOW)  # type: ignore[arg-type]


async def health(_request: Request) -> Response:
    return PlainTextResponse("ok")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with aiosqlite.connect(os.environ["DATABASE"], isolation_level=None) as app.state.database:
        yield


routes = [
    Route("/health", health),
    Route("/messages", messages, methods=["POST"]),
    Route("/rooms", rooms, methods=["POST"]),
]
app = Starlette(routes=routes, lifespan=lifespan)

if __name__ == "__main__":
    serve(app)
