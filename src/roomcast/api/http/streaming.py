"""Subscriptions over plain HTTP: multipart responses for Apollo and Relay clients, and server-sent events.

Each such response runs a graphql-transport-ws connection with one operation inside this process. So rights, resumption,
limits, heartbeats and the end of sessions are the same code as for WebSockets. `StreamingResponse` plays the client of
that connection and translates its messages into parts of the response.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from starlette.types import Message, Receive, Scope, Send

from roomcast.api.errors import coded_error, format_error
from roomcast.api.websocket import protocol
from roomcast.api.websocket.protocol import CloseCode
from roomcast.server.extensions import ABORT, REQUEST_ID

Serve = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[Any]]], Awaitable[None]]

OPERATION_ID = "1"
NEXT_HEAD = protocol.encode_head("next", OPERATION_ID).decode() + ',"payload":'
ERROR_HEAD = protocol.encode_head("error", OPERATION_ID).decode() + ',"payload":'

LAST_PART_SECONDS = 5.0
"""How long the end of the response may wait for the client."""

DISCONNECT: Message = {"type": "websocket.disconnect", "code": 1001}

POLICY_VIOLATION = 1008
"""The close code for an origin that is not allowed."""

RETRYABLE = frozenset({CloseCode.FORBIDDEN, CloseCode.TRY_AGAIN_LATER})

ERROR_CODES = {
    CloseCode.UNAUTHORIZED: "UNAUTHENTICATED",
    CloseCode.FORBIDDEN: "TOKEN_EXPIRED",
    CloseCode.TRY_AGAIN_LATER: "SUBSCRIPTION_LIMIT",
    POLICY_VIOLATION: "FORBIDDEN",
}
"""The error to send for a close code. Without it, a stream that the server cuts off would look complete."""


@dataclass(frozen=True, slots=True)
class Framing:
    """The text format of a stream. `part` frames one execution result, `errors` a list of errors without a result.
    `heartbeat` is a part that clients skip."""

    media_type: str
    begin: str
    part: Callable[[str], str]
    errors: Callable[[str], str]
    heartbeat: str
    end: str


def _part(payload: str) -> str:
    """One part, followed by the next boundary: clients process a part when they see the boundary after it."""
    return f"\r\nContent-Type: application/json\r\n\r\n{payload}\r\n--graphql"


def _event(payload: str) -> str:
    return f"event: next\ndata: {payload}\n\n"  # LF only: urql splits at nothing else


MULTIPART = Framing(
    'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"',
    begin="--graphql",
    part=lambda payload: _part(f'{{"payload":{payload}}}'),
    errors=lambda errors: _part(f'{{"payload":null,"errors":{errors}}}'),
    heartbeat=_part("{}"),
    end="--\r\n",
)
EVENTS = Framing(
    "text/event-stream; charset=utf-8",
    begin="",
    part=_event,
    errors=lambda errors: _event(f'{{"errors":{errors}}}'),
    heartbeat=":\n\n",
    end="event: complete\ndata: \n\n",
)


def preferred_framing(weights: Mapping[str, float]) -> Framing | None:
    """The framing with the highest weight in the Accept header; None where it names neither.

    For subscriptions only: some clients, such as urql, accept text/event-stream with every query and expect JSON.
    """
    offers = [(weights.get("multipart/mixed", 0.0), MULTIPART), (weights.get("text/event-stream", 0.0), EVENTS)]
    weight, best = max(offers, key=lambda offer: offer[0])
    return best if weight > 0 else None


class StreamingResponse:
    """The response to one subscription, as an ASGI app. `request`: the parameters of the GraphQL request."""

    def __init__(self, serve: Serve, framing: Framing, request: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self._serve, self._framing, self._request = serve, framing, request
        # X-Accel-Buffering is for nginx, which otherwise holds parts back until its buffer is full.
        self._headers = {**headers, "Content-Type": framing.media_type, "X-Accel-Buffering": "no"}
        self._to_connection: asyncio.Queue[Message] = asyncio.Queue(maxsize=64)
        self._send: Send

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run until the stream ends or the client disconnects."""
        self._send = send
        headers = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send_body(self._framing.begin)
        self._put({"type": "websocket.connect"})
        self._send_text("connection_init", None)
        watching = asyncio.create_task(self._watch_disconnect(receive), name="stream disconnect")
        extensions = {ABORT: partial(self._put, DISCONNECT), REQUEST_ID: self._headers["X-Request-Id"]}
        socket = {**scope, "type": "websocket", "subprotocols": [protocol.SUBPROTOCOL], "extensions": extensions}
        try:
            await self._serve(socket, self._to_connection.get, self._on_connection_message)
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        with suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._send_body(self._framing.end, more=False), LAST_PART_SECONDS)

    async def _watch_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._put(DISCONNECT)

    # ------------------------------------------------------------------ messages to the connection

    def _put(self, message: Message) -> None:
        with suppress(asyncio.QueueFull):  # only pongs can fill the queue, and a lost one does no harm
            self._to_connection.put_nowait(message)

    def _send_text(self, kind: str, payload: Any, id_: str | None = None) -> None:
        self._put({"type": "websocket.receive", "text": protocol.encode_message(kind, id_, payload)})

    # ------------------------------------------------------------------ messages from the connection

    async def _on_connection_message(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            text = message["text"]
            if text.startswith(NEXT_HEAD):
                await self._send_body(self._framing.part(text[len(NEXT_HEAD) : -1]))
            elif text.startswith(ERROR_HEAD):
                self._put(DISCONNECT)
                await self._send_body(self._framing.errors(text[len(ERROR_HEAD) : -1]))
            else:
                await self._on_control(orjson.loads(text)["type"])
        elif message["type"] == "websocket.close":
            self._put(DISCONNECT)
            close_code = message.get("code", 1000)
            if code := ERROR_CODES.get(close_code):
                error = coded_error(code, message.get("reason", ""), retryable=close_code in RETRYABLE)
                entry = format_error(error, self._headers["X-Request-Id"])
                await self._send_body(self._framing.errors(orjson.dumps([entry]).decode()))

    async def _on_control(self, kind: str) -> None:
        if kind == "connection_ack":
            self._send_text("subscribe", self._request, OPERATION_ID)
            await self._send_body(self._framing.heartbeat)  # so that the client sees at once that the stream is open
        elif kind == "ping":
            self._send_text("pong", None)  # the TCP connection tells when the client is gone
            await self._send_body(self._framing.heartbeat)
        elif kind == "complete":
            self._put(DISCONNECT)

    async def _send_body(self, text: str, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": more})
