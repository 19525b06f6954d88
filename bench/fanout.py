"""Fan-out: one room, one document, many listeners. The server's CPU for each delivery, the durable send included."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from bench.servers import Running, baseline, roomcast, yoga
from bench.sockets import Client, connect_many

DOCUMENT = (
    "subscription Watch($roomId: ID!) { roomMessages(roomId: $roomId) "
    "{ cursor message { id seq body createdAt author { username } } } }"
)
LONG_BODY = "The quick brown fox jumps over the lazy dog. " * 80
FILLING = 1500
BODY = "The quick brown fox jumps over the lazy dog. " * 2
PROTOCOL = "graphql-transport-ws"


@dataclass(frozen=True, slots=True)
class Figures:
    deliveries: int
    seconds: float
    cpu_seconds: float
    payload_bytes: float

    @property
    def cpu_microseconds(self) -> float:
        return self.cpu_seconds / self.deliveries * 1e6


class Audience:
    """The listeners of one server; `all_heard` returns once each has got so many frames."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self._awaited = 0
        self._arrived = asyncio.Event()
        self._total = 0

    def heard(self, client: Client, frame: bytes) -> None:
        if b'"ping"' in frame[:40]:
            client.count -= 1
            client.say({"type": "pong"})
            return
        self._total += 1
        if self._total >= self._awaited:
            self._arrived.set()

    async def all_heard(self, each: int) -> None:
        self._awaited = each * len(self.clients)
        if self._total < self._awaited:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), 120)

    async def gathered(self, publish: "Publish") -> None:
        """Publish until everybody hears: roomMessages has no word of its own for "you are live"."""
        while not all(client.count for client in self.clients):
            await publish(-1)
            await asyncio.sleep(0.5)
        heard = -1
        while heard != self._total:
            heard = self._total
            await asyncio.sleep(0.3)

    def reset(self) -> None:
        self._total = 0
        for client in self.clients:
            client.count = client.bytes = 0


Publish = Callable[[int], Awaitable[Any]]


async def measure(server: Running, audience: Audience, publish: Publish, events: int) -> Figures:
    """Publish one event after another, each once everybody has heard the one before."""
    await audience.gathered(publish)
    for _ in range(3):
        audience.reset()
        await publish(-1)
        await audience.all_heard(1)
    audience.reset()
    cpu, begun = server.cpu_seconds(), time.perf_counter()
    for number in range(events):
        await publish(number)
        await audience.all_heard(number + 1)
    seconds, used = time.perf_counter() - begun, server.cpu_seconds() - cpu
    deliveries = sum(client.count for client in audience.clients)
    size = sum(client.bytes for client in audience.clients) / deliveries
    return Figures(deliveries, seconds, used, size)


async def of_roomcast(listeners: int, events: int, document: str = DOCUMENT, **settings: str) -> Figures:
    with roomcast(**settings) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            return await _of_roomcast(server, http, listeners, events, document)


async def _of_roomcast(server: Running, http: httpx.AsyncClient, listeners: int, events: int, document: str) -> Figures:
    token, room_id = await newcomer(http)
    audience = await subscribed(server, listeners, document, {"roomId": room_id}, token)

    async def publish(_number: int) -> None:
        await ask(http, token, SEND, {"input": {"roomId": room_id, "body": BODY}})

    return await measure(server, audience, publish, events)


SEND = "mutation Send($input: SendMessageInput!) { sendMessage(input: $input) { errors { code } message { id seq } } }"


async def newcomer(http: httpx.AsyncClient) -> tuple[str, str]:
    """Sign up and make a room; the token and the room's id."""
    signup = (
        'mutation { signup(input: {username: "bench", password: "correct horse battery"}) { tokens { accessToken } } }'
    )
    token = (await ask(http, None, signup))["signup"]["tokens"]["accessToken"]
    room = await ask(http, token, 'mutation { createRoom(input: {name: "bench"}) { room { id } } }')
    return token, room["createRoom"]["room"]["id"]


async def ask(http: httpx.AsyncClient, token: str | None, query: str, variables: Any = None) -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = (await http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)).json()
    assert "errors" not in answer, answer
    return answer["data"]


async def of_people(listeners: int, events: int, document: str) -> Figures:
    """As `of_roomcast`, each listener another person: for documents that show everybody something else."""
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await newcomer(http)
            tokens = [await another(http, number) for number in range(listeners)]
            audience = await subscribed(server, listeners, document, {"roomId": room_id}, *tokens)

            async def publish(_number: int) -> None:
                await ask(http, token, SEND, {"input": {"roomId": room_id, "body": BODY}})

            return await measure(server, audience, publish, events)


async def another(http: httpx.AsyncClient, number: int) -> str:
    """Sign somebody up; their token."""
    signup = "mutation($name: String!, $password: String!) { signup(input: {username: $name, password: $password}) "
    named = {"name": f"bench{number}", "password": "correct horse battery"}
    signed_in = await ask(http, None, signup + "{ tokens { accessToken } } }", named)
    return str(signed_in["signup"]["tokens"]["accessToken"])


async def subscribed(server: Running, listeners: int, document: str, variables: Any, *tokens: str | None) -> Audience:
    audience = Audience()
    acknowledged = asyncio.Event()
    waiting = listeners

    def first(client: Client, frame: bytes) -> None:
        nonlocal waiting
        if b"connection_ack" in frame:
            payload = {"query": document, "variables": variables}
            client.say({"type": "subscribe", "id": "1", "payload": payload})
            client.count -= 1
            waiting -= 1
            if not waiting:
                acknowledged.set()
        else:
            audience.heard(client, frame)

    audience.clients = await connect_many(listeners, server.port, "/graphql", PROTOCOL, first)
    for client, token in zip(audience.clients, itertools.cycle(tokens), strict=False):
        client.say({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"} if token else {}})
    await asyncio.wait_for(acknowledged.wait(), 60)
    return audience


async def of_bare(listeners: int, events: int, payload_bytes: int) -> Figures:
    with baseline("bare") as server:
        audience = Audience()
        audience.clients = await connect_many(listeners, server.port, "/", PROTOCOL, audience.heard)
        text = json.dumps({"id": "1", "type": "next", "payload": "x" * (payload_bytes - 40)})
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            return await measure(server, audience, lambda _number: http.post("/publish", content=text), events)


async def of_stock(listeners: int, events: int) -> Figures:
    with baseline("stock") as server:
        return await _of_plain(server, listeners, events)


async def of_yoga(listeners: int, events: int) -> Figures:
    with yoga() as server:
        return await _of_plain(server, listeners, events)


async def p99_milliseconds(listeners: int, events: int, *, stalled: bool) -> float:
    """How long all but the slowest hundredth of events took to reach every listener; `stalled`: with one among them
    that has stopped reading."""
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await newcomer(http)
            audience = await subscribed(server, listeners, DOCUMENT, {"roomId": room_id}, token)
            deaf = await subscribed(server, int(stalled), DOCUMENT, {"roomId": room_id}, token) if stalled else None

            async def publish(_number: int) -> None:
                await ask(http, token, SEND, {"input": {"roomId": room_id, "body": LONG_BODY}})

            await audience.gathered(publish)
            for client in deaf.clients if deaf else ():
                client.transport.pause_reading()
            for number in range(FILLING if stalled else 0):  # until nothing more fits on its way
                await publish(number)
            await asyncio.sleep(1)
            audience.reset()
            took = []
            for number in range(events):
                begun = time.perf_counter()
                await publish(number)
                await audience.all_heard(number + 1)
                took.append(time.perf_counter() - begun)
    return sorted(took)[int(len(took) * 0.99) - 1] * 1000


async def _of_plain(server: Running, listeners: int, events: int) -> Figures:
    audience = await subscribed(server, listeners, DOCUMENT, {"roomId": "1"}, None)
    send = 'mutation($body: String!) { sendMessage(roomId: "1", body: $body) }'
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        return await measure(server, audience, lambda _number: ask(http, None, send, {"body": BODY}), events)
