"""Clients that reconnect after every fault, senders that retry, and the log that both are compared with."""

import asyncio
import gc
import json
import os
import random
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from tests.api_clients import SEND, UserClient
from tests.process import Process
from tests.running_app import RunningApp

FULL = os.environ.get("ROOMCAST_TEST_CHAOS") == "full"
"""The long form of every test here: `make chaos`."""

CATCH_UP_SECONDS = 600.0 if FULL else 60.0
RETRY_SECONDS = 0.05

Json = dict[str, Any]
Place = RunningApp | Process

WATCH = (
    "subscription Watch($roomId: ID!, $after: Cursor) { roomMessages(roomId: $roomId, after: $after) "
    "{ cursor message { seq body author { username } } } }"
)
PAGE = (
    "query Page($id: ID!, $after: String) { messages(roomId: $id, first: 100, after: $after) "
    "{ nodes { seq body } pageInfo { hasNextPage endCursor } streamCursor } }"
)


def many(full: int, short: int) -> int:
    return full if FULL else short


class Survivor:
    """Listens to a room from the given cursor. `heard` is all it was ever shown, as a user would see it."""

    def __init__(self, places: Sequence[Place], token: str, room_id: str, cursor: str) -> None:
        self._places, self._token, self._room_id, self._cursor = places, token, room_id, cursor
        self.heard: list[tuple[int, str]] = []
        self.ws: ClientConnection | None = None
        self.connections = 0
        self._more = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self._listen(random.choice(self._places).ws_url)
            except (ConnectionClosed, InvalidHandshake, OSError, EOFError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, url: str) -> None:
        protocols = [Subprotocol("graphql-transport-ws")]
        async with connect(url, subprotocols=protocols, ping_interval=None, close_timeout=0.1, open_timeout=5) as ws:
            self.ws = ws
            init = {"authorization": self._token, **self._resume()}
            await ws.send(json.dumps({"type": "connection_init", "payload": init}))
            variables = {"roomId": self._room_id, **self._after()}
            while True:
                message = json.loads(await ws.recv())
                if message["type"] == "connection_ack":
                    self.connections += 1
                    payload = {"query": WATCH, "variables": variables}
                    await ws.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
                elif message["type"] == "ping":
                    await ws.send('{"type":"pong"}')
                else:
                    self._hear(message)

    def _after(self) -> Json:
        """What the subscription says of where it resumes."""
        return {"after": self._cursor}

    def _resume(self) -> Json:
        """What the connection says of it."""
        return {}

    def _hear(self, message: Json) -> None:
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        delivery = message["payload"]["data"]["roomMessages"]
        self._cursor = delivery["cursor"]
        self.heard.append((delivery["message"]["seq"], delivery["message"]["body"]))
        self._more.set()

    def cut(self) -> None:
        """Without a word, as networks do it."""
        if self.ws is not None:
            self.ws.transport.abort()

    async def until(self, count: int) -> None:
        while len(self.heard) < count:
            self._more.clear()
            await self._more.wait()


class ByMap(Survivor):
    """Names its cursor while it connects, and nothing when it subscribes."""

    def _after(self) -> Json:
        return {}

    def _resume(self) -> Json:
        return {"resume": {self._room_id: self._cursor}}


@asynccontextmanager
async def surviving(
    count: int, places: Sequence[Place], person: UserClient, room_id: str, kind: type[Survivor] = Survivor
) -> AsyncIterator[list[Survivor]]:
    """So many clients of one person, from the room's present on; an error of theirs is the test's."""
    cursor = (await person.execute(PAGE, id=room_id))["messages"]["streamCursor"]
    assert person.token is not None
    survivors = [kind(places, person.token, room_id, cursor) for _ in range(count)]
    tasks = [asyncio.create_task(survivor.run()) for survivor in survivors]
    try:
        yield survivors
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [result for result in results if isinstance(result, Exception)]
    assert not failed, failed[0]


async def talk(places: Sequence[Place], person: UserClient, room_id: str, bodies: Sequence[str]) -> None:
    """Send these one after another, each until it is acknowledged; a repeated send is still one message."""
    async with httpx.AsyncClient(timeout=10, headers={"authorization": f"Bearer {person.token}"}) as http:
        for body in bodies:
            sent = {"roomId": room_id, "body": body, "clientMessageId": str(uuid.uuid4())}
            while not await _is_sent(http, random.choice(places), sent):  # noqa: ASYNC110 (nothing tells when it will)
                await asyncio.sleep(RETRY_SECONDS)


async def _is_sent(http: httpx.AsyncClient, place: Place, sent: Json) -> bool:
    try:
        answer = await http.post(f"{place.url}/graphql", json={"query": SEND, "variables": {"input": sent}})
    except httpx.HTTPError:
        return False
    said = answer.json()
    assert answer.status_code != 401, said  # no patience helps against this
    return "errors" not in said and said["data"]["sendMessage"]["errors"] == []


async def crowd_talks(places: Sequence[Place], person: UserClient, room_id: str, count: int, voices: int = 8) -> None:
    """So many messages, by several at once."""
    shares = [[f"{voice}.{number}" for number in range(voice, count, voices)] for voice in range(voices)]
    await asyncio.gather(*(talk(places, person, room_id, share) for share in shares))


async def the_log(person: UserClient, room_id: str) -> list[tuple[int, str]]:
    """All messages of the room, as its history has them."""
    found: list[tuple[int, str]] = []
    page: Json = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        page = (await person.execute(PAGE, id=room_id, after=page["pageInfo"]["endCursor"]))["messages"]
        found += [(node["seq"], node["body"]) for node in page["nodes"]]
    return found


async def all_agree(survivors: Sequence[Survivor], person: UserClient, room_id: str, count: int) -> None:
    """Every client has been shown every message of the log once, in its order."""
    log = await the_log(person, room_id)
    assert len(log) == len({body for _, body in log}) == count
    async with asyncio.timeout(CATCH_UP_SECONDS):
        await asyncio.gather(*(survivor.until(count) for survivor in survivors))
    for survivor in survivors:
        assert survivor.heard == log


CUT_SECONDS = 0.1 if FULL else 0.02
"""Between two cuts, on average: each client is cut some dozens of times, in the short form some times."""


async def cut_at_random(survivors: Sequence[Survivor]) -> None:
    """Until it is cancelled."""
    while True:
        await asyncio.sleep(random.uniform(0, 2 * CUT_SECONDS))
        random.choice(survivors).cut()


@asynccontextmanager
async def meanwhile(*coroutines: Any) -> AsyncIterator[None]:
    """These run as long as the block, and are cancelled at its end."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def held_bytes() -> int:
    """What Python objects of this process hold now; the first call starts to count."""
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
