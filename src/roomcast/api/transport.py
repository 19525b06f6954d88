"""uvicorn's WebSocket protocol, with a way out for dead peers.

A peer that takes no bytes is never freed by a closing handshake: it has to be aborted. The app finds the way in the
scope's extensions, under "roomcast.abort". There it also leaves, under "roomcast.leave", what it wants to be called
when the server stops: uvicorn alone would cut off what runs.
"""

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

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


class AbortableProtocol(WebSocketsSansIOProtocol):
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # absent when the handshake was refused
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["roomcast.abort"] = self.transport.abort

    def shutdown(self) -> None:
        leave = self._leave()
        if leave is None or self.close_sent or not self.handshake_complete:
            super().shutdown()
        else:
            leave()  # uvicorn waits until this connection has ended, as long as timeout_graceful_shutdown says

    def _leave(self) -> Callable[[], None] | None:
        if not hasattr(self, "scope"):
            return None
        extensions: dict[str, Any] = self.scope["extensions"]
        return extensions.get("roomcast.leave")
