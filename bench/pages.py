"""A page of 50 messages and a list of 50 rooms over HTTP, compared with the same JSON by hand.

All servers read one SQLite database and have to answer with equal JSON. Requests go one after another.
"""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from bench.fanout import execute, sign_up
from bench.filling import fill, open_database, row_id
from bench.http_client import cpu_milliseconds, encode_post, open_connection
from bench.rounds import alternate
from bench.servers import ServerProcess, baseline, roomcast
from bench.table import Row
from roomcast.core.keys import derive_key

PAGE = (
    "query Page($roomId: ID!) { messages(roomId: $roomId, last: 50) { edges { cursor node { id seq body createdAt "
    "author { id username displayName avatarUrl } reactions { emoji count viewerHasReacted } "
    "replyTo { id body author { username } } } } pageInfo { hasNextPage hasPreviousPage } } }"
)
ROOMS = (
    "query Rooms { rooms(first: 50) { nodes { id name lastMessage { id body createdAt author { username } } "
    "viewerMembership { lastReadSeq unreadCount unreadIsCapped mentionCount } } pageInfo { hasNextPage endCursor } } }"
)
CREATE = "mutation($name: String!) { createRoom(input: {name: $name}) { room { id } } }"
SECRET = "a secret that the baselines know too"
USERS, ROOM_COUNT, MESSAGES = 10, 200, 150

DECORATE = """
UPDATE users SET avatar_id = lower(hex(randomblob(16)));
UPDATE messages SET author_id = (SELECT id FROM users WHERE users.rowid = 1 + seq % 10);
UPDATE messages SET reply_to_id = (
    SELECT id FROM messages older WHERE older.room_id = messages.room_id AND older.seq = messages.seq - 7
) WHERE seq % 4 = 0;
INSERT INTO reactions (message_id, emoji, user_id, created_at, room_id)
    SELECT messages.id, emoji, users.id, messages.created_at, room_id FROM messages, users,
        (SELECT '👍' AS emoji UNION SELECT '🎉') WHERE seq % 3 = 0 AND users.rowid <= 1 + seq % 4;
UPDATE memberships SET last_read_seq = abs(random()) % 150;
"""
"""Gives users pictures, and messages different authors, replies (every fourth) and reactions (every third)."""


@dataclass(frozen=True, slots=True)
class FilledServer:
    """A server with all data. `database`: its file. `room_id`: of the room whose page is read."""

    server: ServerProcess
    database: Path
    token: str
    user_id: str
    room_id: str
    other_room_id: str

    def page_request(self, path: str = "/graphql") -> bytes:
        return encode_post(self.token, PAGE, {"roomId": self.room_id}, path)

    def rooms_request(self, path: str = "/graphql") -> bytes:
        return encode_post(self.token, ROOMS, None, path)

    @property
    def environment(self) -> dict[str, str]:
        """What another server needs to give the same answers."""
        return {
            "DATABASE": str(self.database),
            "LINK_KEY": derive_key(SECRET.encode(), "links").hex(),
            "TOKENS": json.dumps({self.token: row_id("user", self.user_id).hex}),
        }


async def rows(*, quick: bool) -> list[Row]:
    rounds, seconds = (1, 0.3) if quick else (5, 2.0)
    async with filled_server() as ours:
        compared = {
            "page of 50 messages with author, avatar, reactions, reply": ("/messages", ours.page_request, 2.0),
            f"first 50 of {ROOM_COUNT} rooms with last message and unread counts": ("/rooms", ours.rooms_request, 3.0),
        }
        rows: list[Row] = []
        with baseline("by_hand", **ours.environment) as by_hand:
            for what, (path, request, mark) in compared.items():
                await check_equal_answers((ours.server, request()), (by_hand, request(path)))
                found = await alternate(
                    rounds,
                    partial(cpu_milliseconds, ours.server, request(), seconds),
                    partial(cpu_milliseconds, by_hand, request(path), seconds),
                )
                label = f"{what} over HTTP, CPU, against the same JSON from Starlette and aiosqlite by hand"
                rows.append(found.comparison(label, "ms", mark))
    return rows


async def check_equal_answers(*asked: tuple[ServerProcess, bytes]) -> None:
    """Fail unless these servers answer these requests with equal JSON, and not with errors."""
    answers = []
    for server, request in asked:
        async with open_connection(server.port) as connection:
            answers.append(json.loads(await connection.send(request)))
    assert "errors" not in answers[0], answers[0]
    assert all(answer == answers[0] for answer in answers), answers


@asynccontextmanager
async def filled_server() -> AsyncIterator[FilledServer]:
    """A server with ROOM_COUNT rooms of MESSAGES messages each."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "roomcast.db"
        settings = {"database_url": f"sqlite:///{database}", "secret_key": SECRET, "migrate_on_start": "true"}
        with roomcast(**settings) as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
                token, *_ = [await sign_up(http, number) for number in range(USERS)]
                user_id = str((await execute(http, token, "{ me { user { id } } }"))["me"]["user"]["id"])
                rooms = [
                    (await execute(http, token, CREATE, {"name": f"room {number}"}))["createRoom"]["room"]["id"]
                    for number in range(ROOM_COUNT)
                ]
            await _fill(database, user_id, rooms)
            yield FilledServer(server, database, token, user_id, *rooms[:2])


async def _fill(database: Path, author_id: str, room_ids: list[str]) -> None:
    author = row_id("user", author_id)
    async with open_database(f"sqlite:///{database}") as db:
        for room_id in room_ids:
            await fill(db, row_id("room", room_id), author, MESSAGES)
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(DECORATE)
