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
"""Whether to run the long form of the chaos tests: `make chaos`."""

CATCH_UP_SECONDS = 600.0 if FULL else 60.0
RETRY_SECONDS = 0.05

Json = dict[str, Any]
Server = RunningApp | Process

WATCH = (
    "subscription Watch($roomId: ID!, $after: Cursor) { roomMessages(roomId: $roomId, after: $after) "
    "{ cursor message { seq body author { username } } } }"
)
PAGE = (
    "query Page($id: ID!, $after: String) { messages(roomId: $id, first: 100, after: $after) "
    "{ nodes { seq body } pageInfo { hasNextPage endCursor } streamCursor } }"
)


def full_or_short(full: int, short: int) -> int:
    return full if FULL else short


class ReconnectingClient:
    """Subscribes to a room from a cursor and reconnects after every failure. `received`: all messages, in order."""

    def __init__(self, servers: Sequence[Server], token: str, room_id: str, cursor: str) -> None:
        self._servers, self._token, self._room_id, self._cursor = servers, token, room_id, cursor
        self.received: list[tuple[int, str]] = []
        self.ws: ClientConnection | None = None
        self.connections = 0
        self._more = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self._listen(random.choice(self._servers).ws_url)
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
                    self._on_message(message)

    def _after(self) -> Json:
        """The variables of the subscription that say where to resume."""
        return {"after": self._cursor}

    def _resume(self) -> Json:
        """The payload of `connection_init` that says where to resume."""
        return {}

    def _on_message(self, message: Json) -> None:
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        delivery = message["payload"]["data"]["roomMessages"]
        self._cursor = delivery["cursor"]
        self.received.append((delivery["message"]["seq"], delivery["message"]["body"]))
        self._more.set()

    def cut(self) -> None:
        """Abort the connection without a close frame, as a network failure does."""
        if self.ws is not None:
            self.ws.transport.abort()

    async def until(self, count: int) -> None:
        while len(self.received) < count:
            self._more.clear()
            await self._more.wait()


class ResumeMapClient(ReconnectingClient):
    """Sends its cursor in the resume map of `connection_init` instead of with the subscription."""

    def _after(self) -> Json:
        return {}

    def _resume(self) -> Json:
        return {"resume": {self._room_id: self._cursor}}


@asynccontextmanager
async def reconnecting_clients(
    count: int,
    servers: Sequence[Server],
    person: UserClient,
    room_id: str,
    kind: type[ReconnectingClient] = ReconnectingClient,
) -> AsyncIterator[list[ReconnectingClient]]:
    """Run `count` clients of one user from the room's current position. An error in a client fails the test."""
    cursor = (await person.execute(PAGE, id=room_id))["messages"]["streamCursor"]
    assert person.token is not None
    clients = [kind(servers, person.token, room_id, cursor) for _ in range(count)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [result for result in results if isinstance(result, Exception)]
    assert not failed, failed[0]


async def send_with_retries(servers: Sequence[Server], person: UserClient, room_id: str, bodies: Sequence[str]) -> None:
    """Send messages one after another, each until it is acknowledged. A repeated send is one message."""
    async with httpx.AsyncClient(timeout=10, headers={"authorization": f"Bearer {person.token}"}) as http:
        for body in bodies:
            sent = {"roomId": room_id, "body": body, "clientMessageId": str(uuid.uuid4())}
            while not await _is_sent(http, random.choice(servers), sent):  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(RETRY_SECONDS)


async def _is_sent(http: httpx.AsyncClient, server: Server, sent: Json) -> bool:
    try:
        answer = await http.post(f"{server.url}/graphql", json={"query": SEND, "variables": {"input": sent}})
    except httpx.HTTPError:
        return False
    body_json = answer.json()
    assert answer.status_code != 401, body_json  # retrying does not help
    return "errors" not in body_json and body_json["data"]["sendMessage"]["errors"] == []


async def send_concurrently(
    servers: Sequence[Server], person: UserClient, room_id: str, count: int, senders: int = 8
) -> None:
    """Send `count` messages over several concurrent senders."""
    shares = [[f"{sender}.{number}" for number in range(sender, count, senders)] for sender in range(senders)]
    await asyncio.gather(*(send_with_retries(servers, person, room_id, share) for share in shares))


async def full_history(person: UserClient, room_id: str) -> list[tuple[int, str]]:
    """All messages of the room's history."""
    found: list[tuple[int, str]] = []
    page: Json = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        page = (await person.execute(PAGE, id=room_id, after=page["pageInfo"]["endCursor"]))["messages"]
        found += [(node["seq"], node["body"]) for node in page["nodes"]]
    return found


async def check_all_received(
    clients: Sequence[ReconnectingClient], person: UserClient, room_id: str, count: int
) -> None:
    """Assert that every client receives every message of the log once and in order."""
    log = await full_history(person, room_id)
    assert len(log) == len({body for _, body in log}) == count
    async with asyncio.timeout(CATCH_UP_SECONDS):
        await asyncio.gather(*(client.until(count) for client in clients))
    for client in clients:
        assert client.received == log


CUT_SECONDS = 0.1 if FULL else 0.02
"""The average time between two cuts: each client is cut dozens of times, a few times in the short form."""


async def cut_random_clients(clients: Sequence[ReconnectingClient]) -> None:
    """Cut random clients until cancelled."""
    while True:
        await asyncio.sleep(random.uniform(0, 2 * CUT_SECONDS))
        random.choice(clients).cut()


@asynccontextmanager
async def running(*coroutines: Any) -> AsyncIterator[None]:
    """Run coroutines during the block and cancel them at its end."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def held_bytes() -> int:
    """The bytes that Python objects of this process hold. The first call starts the measurement."""
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
