"""Fan-out: one room, one document, many listeners. The server's CPU per delivery, with the durable send."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from bench.http_client import encode_post, open_connection, post_bytes
from bench.rounds import alternate
from bench.servers import ServerProcess, baseline, roomcast
from bench.sockets import WebSocketClient, connect_many
from bench.table import Row

DOCUMENT = (
    "subscription Watch($roomId: ID!) { roomMessages(roomId: $roomId) "
    "{ cursor message { id seq body createdAt author { username } } } }"
)
VIEWER_DOCUMENT = DOCUMENT.replace("body createdAt", "body viewerCanEdit createdAt")
BURST = 16
BODY = "The quick brown fox jumps over the lazy dog. " * 2
PROTOCOL = "graphql-transport-ws"


@dataclass(frozen=True, slots=True)
class DeliveryCost:
    deliveries: int
    cpu_seconds: float
    payload_bytes: float

    @property
    def cpu_microseconds(self) -> float:
        return self.cpu_seconds / self.deliveries * 1e6


Publish = Callable[[int], Awaitable[object]]


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

    async def wait_until_subscribed(self, publish: Publish) -> None:
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


@asynccontextmanager
async def publisher(server: ServerProcess, request: bytes, senders: int = 1) -> AsyncIterator[Publish]:
    """Sends the request on as many connections as there are senders, on all at once."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(open_connection(server.port)) for _ in range(senders)]

        async def publish(_number: int) -> None:
            answers = await asyncio.gather(*(connection.send(request) for connection in connections))
            assert not any(b'"errors":[{' in answer.replace(b" ", b"") for answer in answers), answers

        yield publish


async def warm_up(receivers: Receivers, publish: Publish, at_once: int = 1) -> None:
    """Wait until all are subscribed, then publish some events to fill caches."""
    await receivers.wait_until_subscribed(publish)
    await publish_events(receivers, publish, 3, at_once)


async def publish_events(receivers: Receivers, publish: Publish, times: int, at_once: int = 1) -> None:
    """Call `publish`, which publishes `at_once` events, once every client has received all events before."""
    receivers.reset()
    for number in range(times):
        await publish(number)
        await receivers.wait_for_all((number + 1) * at_once)


@dataclass(frozen=True, slots=True)
class Audience:
    """A server, its listeners, and the request that sends an event to all of them."""

    server: ServerProcess
    receivers: Receivers
    request: bytes
    senders: int = 1

    async def cost(self, times: int) -> float:
        """CPU of a delivery, in microseconds."""
        return (await self.measure(times)).cpu_microseconds

    async def measure(self, times: int) -> DeliveryCost:
        """Let all senders send at once, `times` times."""
        async with publisher(self.server, self.request, self.senders) as publish:
            await warm_up(self.receivers, publish, self.senders)
            cpu = self.server.cpu_seconds()
            await publish_events(self.receivers, publish, times, self.senders)
            used = self.server.cpu_seconds() - cpu
        deliveries = sum(client.count for client in self.receivers.clients)
        size = sum(client.bytes for client in self.receivers.clients) / deliveries
        return DeliveryCost(deliveries, used, size)


async def rows(*, quick: bool) -> list[Row]:
    rounds = 1 if quick else 3
    full = ((500, 150, 1, 1.2), (3000, 40, 1, 1.0), (500, 20, BURST, 0.75))
    sizes = ((100, 10, 1, 1.2), (100, 2, BURST, 0.75)) if quick else full
    against_bare = [await _compare_with_bare(*size, rounds) for size in sizes]
    return [*against_bare, await _compare_viewers_with_stock(*((50, 5) if quick else (500, 30)), rounds)]


async def _compare_with_bare(listeners: int, times: int, senders: int, mark: float, rounds: int) -> Row:
    """`times`: how often all senders send at once."""
    async with open_roomcast(listeners, senders) as ours:
        payload_bytes = round((await ours.measure(1)).payload_bytes)
        async with open_bare(listeners, senders, payload_bytes) as bare:
            found = await alternate(rounds, partial(ours.cost, times), partial(bare.cost, times))
    what = f"burst of {senders} senders at once, {listeners} listeners" if senders > 1 else f"fan-out to {listeners}"
    label = f"{what}, CPU per delivery, the durable sends included, against a bare ASGI broadcast of each message"
    return found.comparison(label, "µs", mark)


async def _compare_viewers_with_stock(listeners: int, times: int, rounds: int) -> Row:
    async with open_roomcast_with_viewers(listeners) as viewers, open_stock(listeners) as stock:
        found = await alternate(rounds, partial(viewers.cost, times), partial(stock.cost, times))
    what = f"fan-out to {listeners} with a viewer field, CPU per delivery, against stock Strawberry"
    return found.comparison(what, "µs", 0.2)


@asynccontextmanager
async def open_roomcast(listeners: int, senders: int = 1) -> AsyncIterator[Audience]:
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await sign_up_with_room(http)
        receivers = await subscribe_many(server, listeners, DOCUMENT, {"roomId": room_id}, token)
        yield Audience(server, receivers, send_request(token, room_id), senders)


@asynccontextmanager
async def open_roomcast_with_viewers(listeners: int) -> AsyncIterator[Audience]:
    """Every listener is another user, and the document has a field that depends on the viewer."""
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await sign_up_with_room(http)
            tokens = [await sign_up(http, number) for number in range(listeners)]
        receivers = await subscribe_many(server, listeners, VIEWER_DOCUMENT, {"roomId": room_id}, *tokens)
        yield Audience(server, receivers, send_request(token, room_id))


@asynccontextmanager
async def open_bare(listeners: int, senders: int, payload_bytes: int) -> AsyncIterator[Audience]:
    with baseline("bare") as server:
        receivers = Receivers()
        receivers.clients = await connect_many(listeners, server.port, "/", PROTOCOL, receivers.on_frame)
        message = {"id": "1", "type": "next", "payload": "x" * (payload_bytes - 40)}
        yield Audience(server, receivers, post_bytes("/publish", json.dumps(message).encode()), senders)


@asynccontextmanager
async def open_stock(listeners: int) -> AsyncIterator[Audience]:
    with baseline("stock") as server:
        receivers = await subscribe_many(server, listeners, DOCUMENT, {"roomId": "1"}, None)
        send = 'mutation($body: String!) { sendMessage(roomId: "1", body: $body) }'
        yield Audience(server, receivers, encode_post("none", send, {"body": BODY}))


def send_request(token: str, room_id: str) -> bytes:
    return encode_post(token, SEND, {"input": {"roomId": room_id, "body": BODY}})


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
