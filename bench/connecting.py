"""From connect to the first event of a subscription, compared with a bare handshake and one message.

Sockets connect one after another and stay open. A subscription resumes one event behind, so that its first event comes
at once.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx

from bench.fanout import BODY, PROTOCOL, SEND, execute, sign_up_with_room
from bench.rounds import alternate
from bench.servers import ServerProcess, baseline, roomcast
from bench.sockets import WebSocketClient, connect
from bench.storm import RESUMING
from bench.table import Row


async def rows(*, quick: bool) -> list[Row]:
    rounds, sockets = (1, 30) if quick else (5, 200)
    with roomcast() as server, baseline("bare") as bare:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            token, room_id = await sign_up_with_room(http)
            room = (await execute(http, token, f'{{ room(id: "{room_id}") {{ streamCursor }} }}'))["room"]
            await execute(http, token, SEND, {"input": {"roomId": room_id, "body": BODY}})
        payload = {"query": RESUMING, "variables": {"roomId": room_id, "after": room["streamCursor"]}}
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
        subscribe = {"type": "subscribe", "id": "1", "payload": payload}
        found = await alternate(
            rounds,
            partial(cpu_microseconds, server, "/graphql", sockets, (init, subscribe)),
            partial(cpu_microseconds, bare, "/greeting", sockets),
        )
    what = "from connect to the first event of a subscription, CPU, against a bare uvicorn handshake and one message"
    return [found.comparison(what, "µs", 3)]


async def cpu_microseconds(server: ServerProcess, path: str, sockets: int, messages: Sequence[Any] = ()) -> float:
    """The server's CPU for each socket. The client answers each frame with the next of `messages`; the first is sent at
    once, and the last frame is the event."""
    cpu, clients = server.cpu_seconds(), []
    for _ in range(sockets):
        clients.append(await _connect(server.port, path, messages))
    used = server.cpu_seconds() - cpu
    for client in clients:
        client.transport.abort()
    return used / sockets * 1e6


async def _connect(port: int, path: str, messages: Sequence[Any]) -> WebSocketClient:
    """Returns when the event has arrived."""
    unsent, arrived = iter(messages), asyncio.Event()

    def answer(client: WebSocketClient, frame: bytes) -> None:
        assert b'"error"' not in frame, frame
        message = next(unsent, None)
        if message is None:
            arrived.set()
        else:
            client.send_json(message)

    client = await connect(port, path, PROTOCOL, answer)
    if messages:
        answer(client, b"")
    await arrived.wait()
    return client
