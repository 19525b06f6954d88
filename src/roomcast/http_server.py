"""uvicorn with the options of roomcast, for one process and for the workers of `supervisor`."""

import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from roomcast.server.websocket_protocol import SERVER_OPTIONS, WebSocketProtocol
from roomcast.serving import App
from roomcast.settings import Settings


class HttpServer(uvicorn.Server):
    """`on_listening` is called once the app has started and the server accepts connections."""

    def __init__(self, app: App, settings: Settings, on_listening: Callable[[], None]) -> None:
        # The closes of sockets are spread over `close_seconds`, and each of them takes its time.
        stop_seconds = SERVER_OPTIONS["timeout_graceful_shutdown"] + int(settings.close_seconds)
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                workers=settings.workers,
                ws=WebSocketProtocol,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                **{**SERVER_OPTIONS, "timeout_graceful_shutdown": stop_seconds},
            )
        )
        self._on_listening = on_listening

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal stops it. Raises SystemExit if it cannot start."""
        with suppress(KeyboardInterrupt):  # uvicorn raises the signals again when it has stopped
            super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()
