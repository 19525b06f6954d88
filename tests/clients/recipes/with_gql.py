"""Messages of a room with gql: lost connections are followed by new ones, from the newest cursor on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

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
    pause = 0.1
    while True:
        transport = WebsocketsTransport(url, init_payload={"authorization": await access_token()})
        try:
            async with Client(transport=transport) as session:
                request = GraphQLRequest(MESSAGES, variable_values={"roomId": room_id, "after": after})
                async for data in session.subscribe(request):
                    pause, after = 0.1, data["roomMessages"]["cursor"]
                    yield data["roomMessages"]
                return  # the server has ended the stream: the room cannot be read any more
        except (OSError, TransportConnectionFailed) as lost:
            cause = lost.__cause__
            if isinstance(cause, ConnectionClosed) and cause.rcvd is not None and cause.rcvd.code in PERMANENT:
                raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10)
