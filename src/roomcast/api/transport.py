"""uvicorn's WebSocket protocol with two ways that ASGI lacks; the app finds them in the scope's extensions.

`ABORT` drops a peer that takes no bytes: a closing handshake would wait for it for ever. `WRITE` puts a text frame on
the wire at once: with thousands of listeners, going through `send` for each is half of what a delivery costs.
`LEAVE` is put there by the app, to be called when the server stops: uvicorn alone would cut off what runs.
"""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

ABORT, WRITE, LEAVE = "roomcast.abort", "roomcast.write", "roomcast.leave"

MAX_FRAME_BYTES = 256 * 1024

SERVER_OPTIONS: dict[str, Any] = {
    "ws_max_size": MAX_FRAME_BYTES,
    # uvicorn's own pings close with 1011, after which graphql-ws never comes back; ours are protocol messages.
    "ws_ping_interval": None,
    # Deflate costs CPU and some 64 KiB for each socket and message; a proxy does it better.
    "ws_per_message_deflate": False,
    # Without a limit, one forgotten request keeps a stopping server alive for ever.
    "timeout_graceful_shutdown": 15,
}
"""What `roomcast serve` sets besides this protocol; somebody who runs uvicorn by hand should set them too."""


class DirectProtocol(WebSocketsSansIOProtocol):
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # absent when the handshake was refused
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort
            if not self.conn.extensions:  # a frame may then leave as it is
                extensions[WRITE] = self.write_text

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
        """One text frame of these parts (UTF-8), if the peer takes bytes now; False if that would have to wait."""
        if not self.writable.is_set() or not self.handshake_complete or self.close_sent or self.disconnected:
            return False
        self.transport.write(b"".join((_header(sum(map(len, parts))), *parts)))
        return True

    def shutdown(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"] if hasattr(self, "scope") else {}
        leave = extensions.get(LEAVE)
        if leave is None or self.close_sent or not self.handshake_complete:
            super().shutdown()
        else:
            leave()  # uvicorn waits until this connection has ended, as long as timeout_graceful_shutdown says


def advice() -> str:
    """What somebody who runs uvicorn by hand should give it."""
    options = {"ws": f"{DirectProtocol.__module__}:{DirectProtocol.__name__}", **SERVER_OPTIONS}
    return ", ".join(f"{name}={value}" for name, value in options.items())


def _header(size: int) -> bytes:
    """Of an unmasked, final text frame (RFC 6455, section 5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")
