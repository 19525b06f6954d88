"""One client that has stopped reading among hundreds: how much it delays the others."""

import time
from pathlib import Path

import httpx

from bench.fanout import DOCUMENT, PROTOCOL, SEND, Publish, Receivers, execute, sign_up_with_room, subscribe_many
from bench.servers import roomcast
from bench.sockets import WebSocketClient, connect
from bench.table import Comparison, Row

LONG_BODY = "The quick brown fox jumps over the lazy dog. " * 80
FILLING_MESSAGES = 150
"""Long messages in one batch. After the first batch all buffers on the way to the stalled client are full."""


async def rows(*, quick: bool) -> list[Row]:
    listeners, events, rounds = (100, 50, 1) if quick else (500, 150, 5)
    pairs = await p99_milliseconds(listeners, events, rounds)
    stalled, alone = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    what = f"one stalled reader among {listeners}: p99 until all others have received an event"
    return [Comparison(what, f"{stalled:.1f} ms", f"{alone:.1f} ms", stalled / alone, 1.1)]


async def p99_milliseconds(listeners: int, events: int, rounds: int) -> list[tuple[float, float]]:
    """The p99 of the time until every client has received an event: pairs of (with a stalled client, without)."""
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await sign_up_with_room(http)
            receivers = await subscribe_many(server, listeners, DOCUMENT, {"roomId": room_id}, token)

            async def publish(_number: int) -> None:
                await execute(http, token, SEND, {"input": {"roomId": room_id, "body": LONG_BODY}})

            await receivers.wait_until_subscribed(publish)
            pairs = []
            for _ in range(rounds):
                alone = await _p99(receivers, publish, events)
                stalled = await _stalled_client(server.port, room_id, token, publish)
                pairs.append((await _p99(receivers, publish, events), alone))
                assert not stalled.transport.is_closing()
                stalled.transport.abort()
    return pairs


async def _p99(receivers: Receivers, publish: Publish, events: int) -> float:
    receivers.reset()
    took = []
    for number in range(events):
        started = time.perf_counter()
        await publish(number)
        await receivers.wait_for_all(number + 1)
        took.append(time.perf_counter() - started)
    return sorted(took)[int(len(took) * 0.99) - 1] * 1000


async def _stalled_client(port: int, room_id: str, token: str, publish: Publish) -> WebSocketClient:
    """A client that has stopped reading and whose buffers are full."""

    def on_frame(client: WebSocketClient, frame: bytes) -> None:
        if b"connection_ack" in frame:
            payload = {"query": DOCUMENT, "variables": {"roomId": room_id}}
            client.send_json({"type": "subscribe", "id": "1", "payload": payload})

    client = await connect(port, "/graphql", PROTOCOL, on_frame, small_buffers=True)
    client.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
    while client.count < 2:  # the acknowledgement, and a first message
        await publish(-1)
    client.transport.pause_reading()
    queued = []
    for _ in range(2):
        for number in range(FILLING_MESSAGES):
            await publish(number)
        queued.append(_unread_bytes(port, client))
    assert queued[0] == queued[1] > 0, "the client still takes bytes"
    return client


def _unread_bytes(port: int, client: WebSocketClient) -> int:
    """The bytes in the send queue of the server's socket, from the kernel (Linux)."""
    ends = [f":{port:04X}", f":{client.transport.get_extra_info('sockname')[1]:04X}"]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if [local[-5:], remote[-5:]] == ends:
            return int(queues.split(":")[0], 16)
    raise LookupError("the connection is gone")
