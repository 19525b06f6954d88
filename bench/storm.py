"""Reconnect storm: thousands of clients, each a hundred messages behind, reconnect and resume at the same moment."""

import asyncio
import re
import time
from dataclasses import dataclass
from statistics import median

import httpx

from bench.fanout import DOCUMENT, PROTOCOL, SEND, execute, sign_up_with_room
from bench.servers import roomcast
from bench.sockets import WebSocketClient, connect_many
from bench.table import Comparison, Row

MISSED = 100
SEQ = re.compile(rb'"seq":(\d+)')
RESUMING = DOCUMENT.replace("$roomId: ID!)", "$roomId: ID!, $after: Cursor)").replace(
    "roomId: $roomId)", "roomId: $roomId, after: $after)"
)


@dataclass(frozen=True, slots=True)
class Storm:
    """`cpu_ms`: the server's CPU for each socket."""

    sockets: int
    caught_up: int
    wrong: int
    cpu_ms: float
    slowest_ping_ms: float


async def rows(*, quick: bool) -> list[Row]:
    found = [await run(300 if quick else 3000) for _ in range(1 if quick else 3)]
    worst = max(storm.wrong + storm.sockets - storm.caught_up for storm in found)
    cpu, ping = median(storm.cpu_ms for storm in found), median(storm.slowest_ping_ms for storm in found)
    what = f"{found[0].sockets} sockets back at once, {MISSED} messages behind"
    return [
        Comparison(f"{what}: CPU for each", f"{cpu:.2f} ms", "1 ms", cpu, 0.9),
        Comparison(f"{what}: the slowest ping meanwhile", f"{ping:.0f} ms", "150 ms", ping / 150, 1),
        Comparison(f"{what}: clients that lost an event or got it twice", f"{worst}", "0", float(worst), 0),
    ]


class ResumingClients:
    """Clients that resume from one cursor. `seen`: the seqs that each has received, in order."""

    def __init__(self, room_id: str, after: str, token: str) -> None:
        self._variables = {"roomId": room_id, "after": after}
        self._token = token
        self.seen: dict[WebSocketClient, list[int]] = {}
        self._received, self._wanted = 0, -1
        self._all = asyncio.Event()

    def on_frame(self, client: WebSocketClient, frame: bytes) -> None:
        if found := SEQ.search(frame):
            self.seen.setdefault(client, []).append(int(found[1]))
            self._received += 1
            if self._received >= self._wanted >= 0:
                self._all.set()
        elif b"connection_ack" in frame:
            payload = {"query": RESUMING, "variables": self._variables}
            client.send_json({"type": "subscribe", "id": "1", "payload": payload})

    async def wait_for_all(self, count: int) -> None:
        self._wanted = count
        if self._received < count:
            await self._all.wait()

    def connect(self, client: WebSocketClient) -> None:
        client.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})


async def run(sockets: int) -> Storm:
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await sign_up_with_room(http)
            first = await execute(http, token, f'{{ room(id: "{room_id}") {{ streamCursor }} }}')
            for number in range(MISSED):
                await execute(http, token, SEND, {"input": {"roomId": room_id, "body": f"missed {number}"}})
        resuming = ResumingClients(room_id, first["room"]["streamCursor"], token)
        cpu = server.cpu_seconds()
        clients = await connect_many(sockets, server.port, "/graphql", PROTOCOL, resuming.on_frame)
        pinging = asyncio.create_task(_slowest_ping(server.port, token))
        for client in clients:
            resuming.connect(client)
        async with asyncio.timeout(120):
            await resuming.wait_for_all(sockets * MISSED)
        cpu = server.cpu_seconds() - cpu
        pinging.cancel()
        [slowest] = await asyncio.gather(pinging)
    right = list(range(2, MISSED + 2))
    wrong = sum(seen != right for seen in resuming.seen.values())
    return Storm(sockets, len(resuming.seen), wrong, cpu / sockets * 1000, slowest * 1000)


async def _slowest_ping(port: int, token: str) -> float:
    """Ping until cancelled. Returns the longest time between a ping and its pong, in seconds."""
    slowest, answered = 0.0, asyncio.Event()

    def on_frame(_client: WebSocketClient, frame: bytes) -> None:
        if b'"pong"' in frame or b"connection_ack" in frame:
            answered.set()

    [client] = await connect_many(1, port, "/graphql", PROTOCOL, on_frame)
    client.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
    try:
        await answered.wait()
        while True:
            answered.clear()
            started = time.perf_counter()
            client.send_json({"type": "ping"})
            await answered.wait()
            slowest = max(slowest, time.perf_counter() - started)
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return slowest
