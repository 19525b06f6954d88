"""Clients that stop reading cost no memory, delay no others and catch up later. Stalled ones are disconnected."""

import asyncio
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from roomcast.realtime.outbox import PROCESS
from roomcast.realtime.ring import RING_BYTES
from tests.api_clients import UserClient
from tests.delivery.resuming_clients import (
    CATCH_UP_SECONDS,
    WATCH,
    check_all_received,
    full_history,
    full_or_short,
    held_bytes,
    reconnecting_clients,
)
from tests.running_app import RunningApp

pytestmark = pytest.mark.chaos

SMALL_BUFFER = 4096
PADDING = "x" * 2_000
MEBIBYTE = 1024 * 1024

BATCH = 20
"""The number of mutations that one request may have."""

SEND_BATCH = (
    f"mutation Burst($roomId: ID!, {', '.join(f'$b{n}: String!' for n in range(BATCH))}) {{"
    + " ".join(
        f"m{n}: sendMessage(input: {{roomId: $roomId, body: $b{n}}}) {{ errors {{ code }} }}" for n in range(BATCH)
    )
    + "}"
)


@pytest.fixture(autouse=True)
def small_kernel_buffers(app: RunningApp) -> None:
    """Small kernel buffers, so that a client that does not read blocks the server after a few messages."""
    app.listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    app.roomcast.sockets.timeouts = replace(app.roomcast.sockets.timeouts, stall=3600, heartbeat=3600)


@asynccontextmanager
async def stalled(
    ws_url: str, person: UserClient, room_id: str, document: str = WATCH
) -> AsyncIterator[ClientConnection]:
    """A client that subscribes and then reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.setblocking(False)
    host, port = ws_url.split("/")[2].split(":")
    await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
    opening = connect(
        ws_url,
        sock=connection,
        subprotocols=[Subprotocol("graphql-transport-ws")],
        ping_interval=None,
        max_queue=1,
        close_timeout=0.1,
    )
    async with opening as ws:
        await ws.send(json.dumps({"type": "connection_init", "payload": {"authorization": person.token}}))
        assert json.loads(await ws.recv())["type"] == "connection_ack"
        payload = {"query": document, "variables": {"roomId": room_id}}
        await ws.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        yield ws
        ws.transport.abort()


async def burst(person: UserClient, room_id: str, count: int) -> None:
    """Send `count` messages of two kilobytes, BATCH per request."""
    person.http.timeout = CATCH_UP_SECONDS
    for start in range(0, count, BATCH):
        bodies = {f"b{n}": f"{start + n} {PADDING}" for n in range(BATCH)}
        await person.execute(SEND_BATCH, roomId=room_id, **bodies)


async def read_seqs(ws: ClientConnection, count: int) -> list[int]:
    """Receive `count` messages. Returns their seqs."""
    seqs: list[int] = []
    async with asyncio.timeout(CATCH_UP_SECONDS):
        while len(seqs) < count:
            message = json.loads(await ws.recv())
            if message["type"] == "next":
                seqs.append(message["payload"]["data"]["roomMessages"]["message"]["seq"])
    return seqs


@pytest.mark.parametrize("document", [WATCH, WATCH.replace(" seq", " viewerCanEdit seq")], ids=["shared", "personal"])
async def test_a_blocked_reader_delays_no_other_and_catches_up_later(
    app: RunningApp, ann: UserClient, document: str
) -> None:
    room_id, count = await ann.create_room("den"), full_or_short(100_000, 300)
    async with (
        stalled(app.ws_url, ann, room_id, document) as ws,
        reconnecting_clients(5, [app], ann, room_id) as clients,
    ):
        await app.wait_for_streams(6)
        await burst(ann, room_id, count)
        await check_all_received(clients, ann, room_id, count)
        seqs = await read_seqs(ws, count)
        assert seqs == [seq for seq, _ in await full_history(ann, room_id)]


async def test_large_events_are_held_within_limits_for_readers_that_are_behind(
    app: RunningApp, ann: UserClient
) -> None:
    copies = " ".join(f"body{number}: body" for number in range(40))
    large = WATCH.replace(" body ", f" body {copies} ")
    room_id, count = await ann.create_room("den"), full_or_short(2_000, 100)
    async with (
        stalled(app.ws_url, ann, room_id, large) as behind,
        stalled(app.ws_url, ann, room_id, large) as other,
        reconnecting_clients(2, [app], ann, room_id) as clients,
    ):
        await app.wait_for_streams(4)
        await burst(ann, room_id, count)
        await check_all_received(clients, ann, room_id, count)
        assert RING_BYTES / 2 < app.roomcast.hub.held_bytes <= 3 * RING_BYTES  # for two documents and the room
        assert 0 < PROCESS.total < MEBIBYTE  # one frame for each blocked reader
        seqs = [seq for seq, _ in await full_history(ann, room_id)]
        assert await read_seqs(behind, count) == await read_seqs(other, count) == seqs


async def test_a_peer_that_accepts_no_bytes_is_dropped(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    app.roomcast.sockets.timeouts = replace(app.roomcast.sockets.timeouts, stall=0.5)
    async with stalled(app.ws_url, ann, room_id), ann.connect():
        await app.wait_for_streams(1)
        assert len(app.roomcast.sockets.connections) == 2
        await burst(ann, room_id, 200)
        await app.wait_for_streams(0)
        async with asyncio.timeout(5):
            while len(app.roomcast.sockets.connections) > 1:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_stalled_readers_cost_the_server_no_memory(app: RunningApp, ann: UserClient) -> None:
    room_id, count = await ann.create_room("den"), full_or_short(100_000, 400)
    async with stalled(app.ws_url, ann, room_id), stalled(app.ws_url, ann, room_id):
        await app.wait_for_streams(2)
        held_bytes()
        await burst(ann, room_id, 2_500)  # both clients are blocked, and the rings (1 MiB) are full
        before = held_bytes()
        await burst(ann, room_id, count)
        grown = held_bytes() - before
        tracemalloc.stop()
    assert grown < MEBIBYTE / 2  # four kilobytes of unread data for each of the two
