"""Subscriptions over plain HTTP: multipart, as Apollo and Relay ask for it, and server-sent events.

A stream is a socket with one operation: it goes through `Sockets.serve` like any other, so rights, resumption, limits,
heartbeats and the end of a session are one path. Here its messages become parts of a response.
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
from roomcast.server.websocket_protocol import ABORT

Serve = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[Any]]], Awaitable[None]]

ID = "1"
NEXT, ERROR = f'{{"id":"{ID}","type":"next","payload":', f'{{"id":"{ID}","type":"error","payload":'
LAST_SECONDS = 5.0

GONE: Message = {"type": "websocket.disconnect", "code": 1001}

FOREIGN = 1008
"""The socket's word for an origin that nobody allowed."""

LATER = frozenset({CloseCode.FORBIDDEN, CloseCode.TRY_AGAIN_LATER})

REASONS = {
    CloseCode.UNAUTHORIZED: "UNAUTHENTICATED",
    CloseCode.FORBIDDEN: "TOKEN_EXPIRED",
    CloseCode.TRY_AGAIN_LATER: "SUBSCRIPTION_LIMIT",
    FOREIGN: "FORBIDDEN",
}
"""What a socket says by closing; a stream that merely ends would look complete."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How a stream is written: `part` frames one answer, `errors` the list that a refusal is, `beat` a sign of life."""

    media_type: str
    begin: str
    part: Callable[[str], str]
    errors: Callable[[str], str]
    beat: str
    end: str


def _part(payload: str) -> str:
    """With the boundary behind it: a client takes a part for whole when it sees the next one begin."""
    return f"\r\nContent-Type: application/json\r\n\r\n{payload}\r\n--graphql"


def _event(payload: str) -> str:
    return f"event: next\ndata: {payload}\n\n"  # LF: urql knows no other


MULTIPART = Framing(
    'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"',
    begin="--graphql",
    part=lambda payload: _part(f'{{"payload":{payload}}}'),
    errors=lambda errors: _part(f'{{"payload":null,"errors":{errors}}}'),
    beat=_part("{}"),
    end="--\r\n",
)
EVENTS = Framing(
    "text/event-stream; charset=utf-8",
    begin="",
    part=_event,
    errors=lambda errors: _event(f'{{"errors":{errors}}}'),
    beat=":\n\n",
    end="event: complete\ndata: \n\n",
)


def framing(liked: Mapping[str, float]) -> Framing | None:
    """The stream that a client likes best. Asked for subscriptions only: some clients, urql for one, name
    text/event-stream with every query and mean JSON."""
    offers = [(liked.get("multipart/mixed", 0.0), MULTIPART), (liked.get("text/event-stream", 0.0), EVENTS)]
    weight, best = max(offers, key=lambda offer: offer[0])
    return best if weight > 0 else None


class Stream:
    """The response to one subscription, as an ASGI app."""

    def __init__(self, serve: Serve, framing: Framing, request: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self._serve, self._framing, self._request = serve, framing, request
        # The last one is nginx's word: it would hold a stream back until a buffer is full.
        self._headers = {**headers, "Content-Type": framing.media_type, "X-Accel-Buffering": "no"}
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(maxsize=64)
        self._send: Send

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs until the stream ends or the client goes."""
        self._send = send
        headers = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._body(self._framing.begin)
        self._say({"type": "websocket.connect"})
        self._say_text("connection_init", None)
        leaving = asyncio.create_task(self._until_gone(receive), name="stream reads")
        extensions = {ABORT: partial(self._say, GONE)}
        socket = {**scope, "type": "websocket", "subprotocols": [protocol.SUBPROTOCOL], "extensions": extensions}
        try:
            await self._serve(socket, self._inbox.get, self._write)
        finally:
            leaving.cancel()
            await asyncio.wait([leaving])
        with suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._body(self._framing.end, more=False), LAST_SECONDS)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._say(GONE)

    # ------------------------------------------------------------------ what the client would have said

    def _say(self, message: Message) -> None:
        with suppress(asyncio.QueueFull):  # only pongs can be so many, and nobody misses one
            self._inbox.put_nowait(message)

    def _say_text(self, kind: str, payload: Any, id_: str | None = None) -> None:
        self._say({"type": "websocket.receive", "text": protocol.write(kind, id_, payload)})

    # ------------------------------------------------------------------ what it hears

    async def _write(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            await self._translate(message["text"])
        elif message["type"] == "websocket.close":
            self._say(GONE)
            closed = message.get("code", 1000)
            if code := REASONS.get(closed):
                error = coded_error(code, message.get("reason", ""), retryable=closed in LATER)
                shown = format_error(error, self._headers["X-Request-Id"])
                await self._body(self._framing.errors(orjson.dumps([shown]).decode()))

    async def _translate(self, text: str) -> None:
        if text.startswith(NEXT):
            await self._body(self._framing.part(text[len(NEXT) : -1]))
        elif text.startswith(ERROR):
            self._say(GONE)
            await self._body(self._framing.errors(text[len(ERROR) : -1]))
        else:
            await self._control(orjson.loads(text)["type"])

    async def _control(self, kind: str) -> None:
        if kind == "connection_ack":
            self._say_text("subscribe", self._request, ID)
            await self._body(self._framing.beat)  # so that the client knows at once that it is heard
        elif kind == "ping":
            self._say_text("pong", None)
            await self._body(self._framing.beat)
        elif kind == "complete":
            self._say(GONE)

    async def _body(self, text: str, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": more})
