"""Fan-out: one room, one document, many listeners. The server's CPU per delivery, with the durable send."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from bench.servers import ServerProcess, baseline, has_node, roomcast, yoga
from bench.sockets import WebSocketClient, connect_many
from bench.table import Comparison, Row

DOCUMENT = (
    "subscription Watch($roomId: ID!) { roomMessages(roomId: $roomId) "
    "{ cursor message { id seq body createdAt author { username } } } }"
)
VIEWER_DOCUMENT = DOCUMENT.replace("body createdAt", "body viewerCanEdit createdAt")
BODY = "The quick brown fox jumps over the lazy dog. " * 2
PROTOCOL = "graphql-transport-ws"


@dataclass(frozen=True, slots=True)
class DeliveryCost:
    deliveries: int
    seconds: float
    cpu_seconds: float
    payload_bytes: float

    @property
    def cpu_microseconds(self) -> float:
        return self.cpu_seconds / self.deliveries * 1e6


class Receivers:
    """The clients that listen to one server."""

    def __init__(self) -> None:
        self.clients: list[WebSocketClient] = []
        self._awaited = 0
        self._arrived = asyncio.Event()
        self._total = 0

    def on_frame(self, client: WebSocketClient, frame: bytes) -> None:
        if b'"ping"' in frame[:40]:
            client.count -= 1
            client.send_json({"type": "pong"})
            return
        self._total += 1
        if self._total >= self._awaited:
            self._arrived.set()

    async def wait_for_all(self, each: int) -> None:
        """Wait until every client has received `each` frames since the last `reset`."""
        self._awaited = each * len(self.clients)
        if self._total < self._awaited:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), 120)

    async def wait_until_subscribed(self, publish: "Publish") -> None:
        """Publish until every client has received a frame: roomMessages does not tell when a subscription is live."""
        while not all(client.count for client in self.clients):
            await publish(-1)
            await asyncio.sleep(0.5)
        received = -1
        while received != self._total:
            received = self._total
            await asyncio.sleep(0.3)

    def reset(self) -> None:
        self._total = 0
        for client in self.clients:
            client.count = client.bytes = 0


Publish = Callable[[int], Awaitable[Any]]


async def warm_up(receivers: Receivers, publish: Publish) -> None:
    """Wait until all are subscribed, then publish some events to fill caches."""
    await receivers.wait_until_subscribed(publish)
    await publish_events(receivers, publish, 3)


async def publish_events(receivers: Receivers, publish: Publish, events: int) -> None:
    """Publish events one after another. Each waits until every client has received the one before."""
    receivers.reset()
    for number in range(events):
        await publish(number)
        await receivers.wait_for_all(number + 1)


async def measure(server: ServerProcess, receivers: Receivers, publish: Publish, events: int) -> DeliveryCost:
    await warm_up(receivers, publish)
    cpu, started = server.cpu_seconds(), time.perf_counter()
    await publish_events(receivers, publish, events)
    seconds, used = time.perf_counter() - started, server.cpu_seconds() - cpu
    deliveries = sum(client.count for client in receivers.clients)
    size = sum(client.bytes for client in receivers.clients) / deliveries
    return DeliveryCost(deliveries, seconds, used, size)


async def rows(*, quick: bool) -> list[Row]:
    sizes = ((200, 20, 1.5),) if quick else ((500, 150, 1.5), (3000, 40, 1.25))
    against_bare = [await _compare_with_bare(*size, rounds=1 if quick else 3) for size in sizes]
    return [*against_bare, *await _compare_with_others(*((100, 10) if quick else (500, 30)))]


async def _compare_with_bare(listeners: int, events: int, target: float, rounds: int) -> Comparison:
    """Measure pairs and return the one with the median ratio."""
    pairs = []
    for _ in range(rounds):
        ours = await measure_roomcast(listeners, events)
        bare = await measure_bare(listeners, events, round(ours.payload_bytes))
        pairs.append((ours.cpu_microseconds / bare.cpu_microseconds, ours, bare))
    ratio, ours, bare = sorted(pairs, key=lambda pair: pair[0])[len(pairs) // 2]
    return Comparison(
        f"fan-out to {listeners}, CPU per delivery, the durable send included, against a bare ASGI broadcast",
        f"{ours.cpu_microseconds:.1f} µs ({ours.deliveries / ours.seconds:,.0f}/s)",
        f"{bare.cpu_microseconds:.1f} µs ({bare.deliveries / bare.seconds:,.0f}/s)",
        ratio,
        target,
    )


async def _compare_with_others(listeners: int, events: int) -> list[Row]:
    ours, stock = await measure_roomcast(listeners, events * 3), await measure_stock(listeners, events)
    viewer = await measure_different_viewers(listeners, events, VIEWER_DOCUMENT)
    compared = [
        (f"fan-out to {listeners}, against stock Strawberry", ours, stock, 1 / 15),
        (f"fan-out to {listeners} with a viewer field, against stock Strawberry", viewer, stock, 1 / 2),
    ]
    if has_node():
        node = await measure_yoga(listeners, events * 3)
        compared.append((f"fan-out to {listeners}, against graphql-yoga with graphql-ws on Node", ours, node, 1))
    return [
        Comparison(
            what,
            f"{figures.cpu_microseconds:.1f} µs",
            f"{theirs.cpu_microseconds:.1f} µs",
            figures.cpu_microseconds / theirs.cpu_microseconds,
            target,
        )
        for what, figures, theirs, target in compared
    ]


async def measure_roomcast(listeners: int, events: int, document: str = DOCUMENT, **settings: str) -> DeliveryCost:
    with roomcast(**settings) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            return await _measure_roomcast(server, http, listeners, events, document)


async def _measure_roomcast(
    server: ServerProcess, http: httpx.AsyncClient, listeners: int, events: int, document: str
) -> DeliveryCost:
    token, room_id = await sign_up_with_room(http)
    receivers = await subscribe_many(server, listeners, document, {"roomId": room_id}, token)

    async def publish(_number: int) -> None:
        await execute(http, token, SEND, {"input": {"roomId": room_id, "body": BODY}})

    return await measure(server, receivers, publish, events)


SEND = "mutation Send($input: SendMessageInput!) { sendMessage(input: $input) { errors { code } message { id seq } } }"


async def sign_up_with_room(http: httpx.AsyncClient) -> tuple[str, str]:
    """Sign up and create a room. Returns the access token and the room's id."""
    signup = (
        'mutation { signup(input: {username: "bench", password: "correct horse battery"}) { tokens { accessToken } } }'
    )
    token = (await execute(http, None, signup))["signup"]["tokens"]["accessToken"]
    room = await execute(http, token, 'mutation { createRoom(input: {name: "bench"}) { room { id } } }')
    return token, room["createRoom"]["room"]["id"]


async def execute(http: httpx.AsyncClient, token: str | None, query: str, variables: Any = None) -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = (await http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)).json()
    assert "errors" not in answer, answer
    return answer["data"]


async def measure_different_viewers(listeners: int, events: int, document: str) -> DeliveryCost:
    """As `measure_roomcast`, with a different user per listener: for documents with per-viewer fields."""
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await sign_up_with_room(http)
            tokens = [await sign_up(http, number) for number in range(listeners)]
            receivers = await subscribe_many(server, listeners, document, {"roomId": room_id}, *tokens)

            async def publish(_number: int) -> None:
                await execute(http, token, SEND, {"input": {"roomId": room_id, "body": BODY}})

            return await measure(server, receivers, publish, events)


async def sign_up(http: httpx.AsyncClient, number: int) -> str:
    """Sign up a user. Returns the access token."""
    signup = "mutation($name: String!, $password: String!) { signup(input: {username: $name, password: $password}) "
    credentials = {"name": f"bench{number}", "password": "correct horse battery"}
    signed_in = await execute(http, None, signup + "{ tokens { accessToken } } }", credentials)
    return str(signed_in["signup"]["tokens"]["accessToken"])


async def subscribe_many(
    server: ServerProcess,
    listeners: int,
    document: str,
    variables: Any,
    *tokens: str | None,
    receivers: Receivers | None = None,
) -> Receivers:
    """Subscribe `listeners` clients and add them to `receivers`, or to a new `Receivers`."""
    receivers = receivers or Receivers()
    acknowledged = asyncio.Event()
    waiting = listeners

    def on_frame(client: WebSocketClient, frame: bytes) -> None:
        nonlocal waiting
        if b"connection_ack" in frame:
            payload = {"query": document, "variables": variables}
            client.send_json({"type": "subscribe", "id": "1", "payload": payload})
            client.count -= 1
            waiting -= 1
            if not waiting:
                acknowledged.set()
        else:
            receivers.on_frame(client, frame)

    clients = await connect_many(listeners, server.port, "/graphql", PROTOCOL, on_frame)
    receivers.clients += clients
    for client, token in zip(clients, itertools.cycle(tokens), strict=False):
        client.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"} if token else {}})
    await asyncio.wait_for(acknowledged.wait(), 60)
    return receivers


async def measure_bare(listeners: int, events: int, payload_bytes: int) -> DeliveryCost:
    with baseline("bare") as server:
        receivers = Receivers()
        receivers.clients = await connect_many(listeners, server.port, "/", PROTOCOL, receivers.on_frame)
        text = json.dumps({"id": "1", "type": "next", "payload": "x" * (payload_bytes - 40)})
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            return await measure(server, receivers, lambda _number: http.post("/publish", content=text), events)


async def measure_stock(listeners: int, events: int) -> DeliveryCost:
    with baseline("stock") as server:
        return await _measure_other(server, listeners, events)


async def measure_yoga(listeners: int, events: int) -> DeliveryCost:
    with yoga() as server:
        return await _measure_other(server, listeners, events)


async def _measure_other(server: ServerProcess, listeners: int, events: int) -> DeliveryCost:
    receivers = await subscribe_many(server, listeners, DOCUMENT, {"roomId": "1"}, None)
    send = 'mutation($body: String!) { sendMessage(roomId: "1", body: $body) }'
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        return await measure(server, receivers, lambda _number: execute(http, None, send, {"body": BODY}), events)
