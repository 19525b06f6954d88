"""One reader that has stopped reading among hundreds: what the others notice of it."""

import time
from pathlib import Path

import httpx

from bench.fanout import DOCUMENT, PROTOCOL, SEND, Listeners, Publish, execute, sign_up_with_room, subscribe_many
from bench.servers import roomcast
from bench.sockets import WebSocketClient, connect
from bench.table import Comparison, Row

LONG_BODY = "The quick brown fox jumps over the lazy dog. " * 80
FILLING_MESSAGES = 150
"""Long messages, twice: after the first time nothing more fits on the way to a client that takes so few."""


async def rows(*, quick: bool) -> list[Row]:
    listeners, events, rounds = (100, 50, 1) if quick else (500, 150, 5)
    pairs = await p99_milliseconds(listeners, events, rounds)
    beside, alone = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    what = f"one stalled reader among {listeners}: p99 until all others have heard"
    return [Comparison(what, f"{beside:.1f} ms", f"{alone:.1f} ms", beside / alone, 1.5)]


async def p99_milliseconds(listeners: int, events: int, rounds: int) -> list[tuple[float, float]]:
    """How long all but the slowest hundredth of events took to reach every listener, with a stalled one among them and
    without, turn by turn."""
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await sign_up_with_room(http)
            audience = await subscribe_many(server, listeners, DOCUMENT, {"roomId": room_id}, token)

            async def publish(_number: int) -> None:
                await execute(http, token, SEND, {"input": {"roomId": room_id, "body": LONG_BODY}})

            await audience.wait_until_subscribed(publish)
            pairs = []
            for _ in range(rounds):
                alone = await _p99(audience, publish, events)
                stalled = await _stalled_client(server.port, room_id, token, publish)
                pairs.append((await _p99(audience, publish, events), alone))
                assert not stalled.transport.is_closing()
                stalled.transport.abort()
    return pairs


async def _p99(audience: Listeners, publish: Publish, events: int) -> float:
    audience.reset()
    took = []
    for number in range(events):
        begun = time.perf_counter()
        await publish(number)
        await audience.wait_for_all(number + 1)
        took.append(time.perf_counter() - begun)
    return sorted(took)[int(len(took) * 0.99) - 1] * 1000


async def _stalled_client(port: int, room_id: str, token: str, publish: Publish) -> WebSocketClient:
    """A listener who reads no more, and to whom nothing more can be sent."""

    def heard(client: WebSocketClient, frame: bytes) -> None:
        if b"connection_ack" in frame:
            payload = {"query": DOCUMENT, "variables": {"roomId": room_id}}
            client.send_json({"type": "subscribe", "id": "1", "payload": payload})

    client = await connect(port, "/graphql", PROTOCOL, heard, small_buffers=True)
    client.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
    while client.count < 2:  # the acknowledgement, and a first message
        await publish(-1)
    client.transport.pause_reading()
    on_the_way = []
    for _ in range(2):
        for number in range(FILLING_MESSAGES):
            await publish(number)
        on_the_way.append(_unread_bytes(port, client))
    assert on_the_way[0] == on_the_way[1] > 0, "it still takes bytes"
    return client


def _unread_bytes(port: int, client: WebSocketClient) -> int:
    """Of the server's socket, what the kernel holds until the client takes it (Linux)."""
    ends = [f":{port:04X}", f":{client.transport.get_extra_info('sockname')[1]:04X}"]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if [local[-5:], remote[-5:]] == ends:
            return int(queues.split(":")[0], 16)
    raise LookupError("the connection is gone")
