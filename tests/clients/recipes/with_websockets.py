"""Messages of a room with nothing but websockets: all of graphql-transport-ws that it takes."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

MESSAGES = """
subscription Messages($roomId: ID!, $after: Cursor) {
  roomMessages(roomId: $roomId, after: $after) { cursor message { id body } }
}
"""
PERMANENT = {4400, 4401, 4406, 4409, 4429}
"""Close codes after which trying again is no use."""


async def messages(
    url: str, access_token: Callable[[], Awaitable[str]], room_id: str, after: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Every message after that cursor exactly once, for as long as it is iterated."""
    async for ws in connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], ping_interval=None):
        try:
            await ws.send(json.dumps({"type": "connection_init", "payload": {"authorization": await access_token()}}))
            await ws.recv()  # connection_ack
            payload = {"query": MESSAGES, "variables": {"roomId": room_id, "after": after}}
            await ws.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            async for delivery in _deliveries(ws):
                after = delivery["cursor"]
                yield delivery
            return  # the server has ended the stream: the room cannot be read any more
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code in PERMANENT:
                raise


async def _deliveries(ws: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    while True:
        message = json.loads(await ws.recv())
        if message["type"] == "ping":
            await ws.send('{"type": "pong"}')
        elif message["type"] == "next":
            yield message["payload"]["data"]["roomMessages"]
        elif message["type"] == "error":
            raise PermissionError(message["payload"])
        elif message["type"] == "complete":
            return
