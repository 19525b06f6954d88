"""Readers that stop reading cost no memory, delay no other and catch up; one that accepts no byte is dropped."""

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
from tests.delivery.resuming_clients import CATCH_UP_SECONDS, WATCH, all_agree, held_bytes, many, surviving, the_log
from tests.running_app import RunningApp

pytestmark = pytest.mark.chaos

SMALL_BUFFER = 4096
PADDING = "x" * 2_000
MEBIBYTE = 1024 * 1024

TOGETHER = 20
"""As many as one request may have."""

SEND_TOGETHER = (
    f"mutation Burst($roomId: ID!, {', '.join(f'$b{n}: String!' for n in range(TOGETHER))}) {{"
    + " ".join(
        f"m{n}: sendMessage(input: {{roomId: $roomId, body: $b{n}}}) {{ errors {{ code }} }}" for n in range(TOGETHER)
    )
    + "}"
)


@pytest.fixture(autouse=True)
def impatient_kernel(app: RunningApp) -> None:
    """Whoever does not read is felt after a few messages: by itself, the kernel takes megabytes for them."""
    app.listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    app.roomcast.sockets.timeouts = replace(app.roomcast.sockets.timeouts, stall=3600, heartbeat=3600)


@asynccontextmanager
async def stalled(
    ws_url: str, person: UserClient, room_id: str, document: str = WATCH
) -> AsyncIterator[ClientConnection]:
    """A client that has subscribed and reads nothing: what it is sent stays on the way."""
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
    """So many messages of two kilobytes, twenty in a request."""
    person.http.timeout = CATCH_UP_SECONDS
    for start in range(0, count, TOGETHER):
        bodies = {f"b{n}": f"{start + n} {PADDING}" for n in range(TOGETHER)}
        await person.execute(SEND_TOGETHER, roomId=room_id, **bodies)


async def read_on(ws: ClientConnection, count: int) -> list[int]:
    """The seqs of so many messages."""
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
    room_id, count = await ann.create_room("den"), many(100_000, 300)
    async with stalled(app.ws_url, ann, room_id, document) as ws, surviving(5, [app], ann, room_id) as survivors:
        await app.wait_for_streams(6)
        await burst(ann, room_id, count)
        await all_agree(survivors, ann, room_id, count)
        seqs = await read_on(ws, count)
        assert seqs == [seq for seq, _ in await the_log(ann, room_id)]


async def test_large_events_are_held_within_limits_for_readers_that_are_behind(
    app: RunningApp, ann: UserClient
) -> None:
    copies = " ".join(f"body{number}: body" for number in range(40))
    large = WATCH.replace(" body ", f" body {copies} ")
    room_id, count = await ann.create_room("den"), many(2_000, 100)
    async with (
        stalled(app.ws_url, ann, room_id, large) as behind,
        stalled(app.ws_url, ann, room_id, large) as other,
        surviving(2, [app], ann, room_id) as survivors,
    ):
        await app.wait_for_streams(4)
        await burst(ann, room_id, count)
        await all_agree(survivors, ann, room_id, count)
        assert RING_BYTES / 2 < app.roomcast.hub.held_bytes <= 3 * RING_BYTES  # of two documents and the room
        assert 0 < PROCESS.total < MEBIBYTE  # a frame for each of those who wait
        seqs = [seq for seq, _ in await the_log(ann, room_id)]
        assert await read_on(behind, count) == await read_on(other, count) == seqs


async def test_a_peer_that_accepts_no_bytes_is_dropped(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    app.roomcast.sockets.timeouts = replace(app.roomcast.sockets.timeouts, stall=0.5)
    async with stalled(app.ws_url, ann, room_id), ann.connect():
        await app.wait_for_streams(1)
        assert len(app.roomcast.sockets.connections) == 2
        await burst(ann, room_id, 200)
        await app.wait_for_streams(0)
        async with asyncio.timeout(5):
            while len(app.roomcast.sockets.connections) > 1:  # noqa: ASYNC110 (no one event says it)
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_stalled_readers_cost_the_server_no_memory(app: RunningApp, ann: UserClient) -> None:
    room_id, count = await ann.create_room("den"), many(100_000, 400)
    async with stalled(app.ws_url, ann, room_id), stalled(app.ws_url, ann, room_id):
        await app.wait_for_streams(2)
        held_bytes()
        await burst(ann, room_id, 2_500)  # both have stopped, and the rings (4 MiB) are full
        before = held_bytes()
        await burst(ann, room_id, count)
        grown = held_bytes() - before
        tracemalloc.stop()
    assert grown < MEBIBYTE / 2  # what the two have not read is four kilobytes for each of them
