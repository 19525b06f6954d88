"""uvicorn's WebSocket protocol: three ways that ASGI lacks, and limits to what it bears with.

The app finds the ways in the scope's extensions. `ABORT` drops a peer that takes no bytes: a closing handshake would
wait for it for ever. `WRITE` puts a text frame on the wire at once: with thousands of listeners, going through `send`
for each is half of what a delivery costs. `DRAINED` waits until the peer takes bytes. `LEAVE` is put there by the app,
to be called when the server stops: uvicorn alone would cut off what runs.
"""

import asyncio
import logging
import sys
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from roomcast.api.http import error_responses
from roomcast.realtime.outbox import LARGE_BYTES
from roomcast.server.read_chunking import ChunkedReads

ABORT, WRITE, LEAVE = "roomcast.abort", "roomcast.write", "roomcast.leave"
DRAINED = "roomcast.drained"

MAX_FRAME_BYTES = 256 * 1024

SERVER_OPTIONS: dict[str, Any] = {
    # Elsewhere uvicorn reads HTTP with h11, which has limits of its own.
    "http": "auto" if sys.platform == "win32" else "roomcast.server.http_protocol:HttpProtocol",
    "ws_max_size": MAX_FRAME_BYTES,
    # uvicorn's own pings close with 1011, after which graphql-ws never comes back; ours are protocol messages.
    "ws_ping_interval": None,
    # Deflate costs CPU and some 64 KiB for each socket and message; a proxy does it better.
    "ws_per_message_deflate": False,
    # Without a limit, one forgotten request keeps a stopping server alive for ever.
    "timeout_graceful_shutdown": 15,
}
"""What `roomcast serve` sets besides this protocol; somebody who runs uvicorn by hand should set them too."""


class Handshake(ServerProtocol):
    """Refuses in JSON, with the headers that every response has."""

    def reject(self, status: Any, text: str) -> Response:
        response = super().reject(status, "")
        response.body = error_responses.body(int(status), text.partition("\n")[0] or HTTPStatus(status).phrase)
        for name, value in {**error_responses.HEADERS, "Content-Length": str(len(response.body))}.items():
            response.headers.pop(name, None)
            response.headers[name] = value
        return response


class WebSocketProtocol(ChunkedReads, WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        # Without extensions, whatever uvicorn was told: a few bytes of deflate can be a bomb, and WRITE knows none.
        self.conn = Handshake(max_size=self.config.ws_max_size, logger=logging.getLogger("uvicorn.error"))

    def handle_events(self) -> None:
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The head is too long, or no HTTP: uvicorn would leave it there without a word.
            said = b"".join(self.conn.data_to_send())
            self.transport.write(said or error_responses.raw_response(400, "This is no WebSocket handshake."))
            self.transport.close()
        else:
            super().handle_events()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # absent when the handshake was refused
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort
            extensions[WRITE] = self.write_text
            extensions[DRAINED] = self.writable.wait

    def start_keepalive(self) -> None:
        super().start_keepalive()
        # The handshake is over: thousands of sockets need not keep theirs, nor the collector look through it.
        del self.request, self.response

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.conn.parser.close()  # it and the connection hold each other

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.scope["extensions"].clear()  # they hold this protocol, which holds them

    def write_text(self, *parts: bytes) -> bool:
        """One text frame of these parts (UTF-8), if the peer takes bytes now; False if that would have to wait, and for
        a large one, which is to be counted while it waits in the buffers."""
        size = sum(map(len, parts))
        if (
            size >= LARGE_BYTES
            or not self.writable.is_set()
            or not self.handshake_complete
            or self.close_sent
            or self.disconnected
        ):
            return False
        self.transport.write(b"".join((_header(size), *parts)))
        return True

    def shutdown(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"] if hasattr(self, "scope") else {}
        leave = extensions.get(LEAVE)
        if leave is None or self.close_sent or not self.handshake_complete:
            super().shutdown()
        else:
            leave()  # uvicorn waits until this connection has ended, as long as timeout_graceful_shutdown says

    # ------------------------------------------------------------------ what clients send

    def handle_cont(self, event: Frame) -> None:
        if event.data or event.fin:  # empty parts without end would fill the memory
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:  # it asks and never listens: its pongs are dropped instead of kept
            self.conn.data_to_send()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_text(b"".join(self.frames)):
            self.conn.send_close(1007, "Text is UTF-8")  # uvicorn would log a traceback
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and not self.rest:
            self.caught_up()
        return message

    def caught_up(self) -> None:
        self.read_paused = not self.queue.empty()  # then `receive` reads on
        if not self.read_paused:
            self.transport.resume_reading()


def advice() -> str:
    """What somebody who runs uvicorn by hand should give it."""
    options = {"ws": f"{WebSocketProtocol.__module__}:{WebSocketProtocol.__name__}", **SERVER_OPTIONS}
    return ", ".join(f"{name}={value}" for name, value in options.items())


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _header(size: int) -> bytes:
    """Of an unmasked, final text frame (RFC 6455, section 5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")
