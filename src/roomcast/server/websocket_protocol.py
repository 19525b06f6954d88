"""uvicorn's WebSocket protocol with our scope extensions, JSON rejections and limits on what clients send."""

import asyncio
import logging
import sys
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from roomcast.server import error_responses
from roomcast.server.accepted_socket import STOP_CLOSE_SECONDS
from roomcast.server.extensions import ABORT, DRAINED, LEAVE, WRITE
from roomcast.server.read_chunking import ChunkedReads

MAX_FRAME_BYTES = 256 * 1024

SERVER_OPTIONS: dict[str, Any] = {
    # httptools does not run on Windows. There uvicorn uses h11, which has limits of its own.
    "http": "auto" if sys.platform == "win32" else "roomcast.server.http_protocol:HttpProtocol",
    "ws_max_size": MAX_FRAME_BYTES,
    # uvicorn's pings close with 1011, after which graphql-ws never reconnects. Ours are graphql-transport-ws messages.
    "ws_ping_interval": None,
    # Deflate costs CPU and some 64 KiB for each connection and message. A proxy does it better.
    "ws_per_message_deflate": False,
    # Without a limit, one hanging request keeps a stopping server alive for ever.
    "timeout_graceful_shutdown": 15,
}
"""Options that `roomcast serve` passes to uvicorn besides this protocol. Set them too when you run uvicorn directly."""


class Handshake(ServerProtocol):
    """Rejects a handshake with a JSON error and the headers that every response has."""

    def reject(self, status: Any, text: str) -> Response:
        response = super().reject(status, "")
        response.body = error_responses.error_body(int(status), text.partition("\n")[0] or HTTPStatus(status).phrase)
        for name, value in {**error_responses.HEADERS, "Content-Length": str(len(response.body))}.items():
            response.headers.pop(name, None)
            response.headers[name] = value
        return response


class WebSocketProtocol(ChunkedReads, WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        # No WebSocket extensions, whatever uvicorn's options say: a few bytes of deflate can expand to gigabytes, and
        # `write_frames` does not compress.
        self.logger = logging.getLogger("uvicorn.error.websocket")  # a name of its own, to log less
        self.conn = Handshake(max_size=self.config.ws_max_size, logger=self.logger)

    def handle_events(self) -> None:
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The headers are too long or not HTTP. uvicorn would neither answer nor close.
            rejection = b"".join(self.conn.data_to_send())
            self.transport.write(rejection or error_responses.error_response(400, "This is no WebSocket handshake."))
            self.transport.close()
        else:
            super().handle_events()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # absent when the handshake was rejected
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort
            extensions[WRITE] = self.write_frames
            extensions[DRAINED] = self.writable.wait

    def start_keepalive(self) -> None:
        super().start_keepalive()
        # Not needed after the handshake. With thousands of connections they cost memory and garbage collector time.
        del self.request, self.response

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.conn.parser.close()  # breaks the reference cycle between parser and connection

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.scope["extensions"].clear()  # breaks the reference cycle with this protocol

    def write_frames(self, frames: bytes) -> bool:
        """Write complete text frames at once. False, with nothing written, where the peer reads no bytes now."""
        if not self.writable.is_set() or not self.handshake_complete or self.close_sent or self.disconnected:
            return False
        self.transport.write(frames)
        return True

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.close" and self.close_timer is not None:
            # uvicorn's timer would let the socket send what it holds first. A client that reads nothing never takes it.
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
        elif message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # uvicorn would log an error for each handshake that the app has rejected

    def shutdown(self) -> None:
        self.close_timeout = STOP_CLOSE_SECONDS
        extensions: dict[str, Any] = self.scope["extensions"] if hasattr(self, "scope") else {}
        on_server_stop = extensions.get(LEAVE)
        if on_server_stop is None or self.close_sent or not self.handshake_complete:
            super().shutdown()
        else:
            on_server_stop()  # uvicorn then waits for this connection to end, for at most timeout_graceful_shutdown

    # ------------------------------------------------------------------ what clients send

    def handle_cont(self, event: Frame) -> None:
        if event.data or event.fin:  # an endless series of empty fragments would fill the memory
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:  # the client sends pings and reads nothing: drop the pong instead of queueing it
            self.conn.data_to_send()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.conn.send_close(1007, "Text is UTF-8")  # uvicorn would log a traceback
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and not self.unfed:
            self.on_all_fed()
        return message

    def on_all_fed(self) -> None:
        self.read_paused = not self.queue.empty()  # then `receive` reads on
        if not self.read_paused:
            self.transport.resume_reading()


def recommended_options() -> str:
    """The options that uvicorn needs when it is not run by `roomcast serve`, for a log line."""
    options = {"ws": f"{WebSocketProtocol.__module__}:{WebSocketProtocol.__name__}", **SERVER_OPTIONS}
    return ", ".join(f"{name}={value}" for name, value in options.items())
