"""Lets the app take a WebSocket connection over while its handshake is read, without an ASGI task, queue or scope.

The app is called once with an extension (`extensions.TAKE_OVER`), in the place where uvicorn would start an ASGI task.
An app that takes the connection over returns without waiting. If it does anything else, or if the request is not an
ordinary handshake, nothing has been sent, and uvicorn's protocol starts again with the whole handshake. So refusals and
their limits are in one place, `WebSocketProtocol`.
"""

import logging
from typing import Any, Never
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from roomcast.server.accepted_socket import AcceptedSocket
from roomcast.server.extensions import TAKE_OVER
from roomcast.server.websocket_protocol import WebSocketProtocol

logger = logging.getLogger("uvicorn.error.websocket")

MAX_HEAD_BYTES, MAX_HEADERS = 4096, 100
"""A handshake with more is left to `WebSocketProtocol`, which knows the limits."""

BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})


class NotTakenOver(Exception):
    """The app needs an ASGI connection for this handshake."""


class Handshake:
    """One WebSocket handshake, which `http` has read."""

    def __init__(self, http: HttpToolsProtocol) -> None:
        self._http = http
        self._conn = ServerProtocol(max_size=http.config.ws_max_size, logger=logger, state=OPEN)
        self._response = Response(400, "", Headers())
        self._has_accepted = False

    def offer(self) -> bool:
        """Offer the connection to the app; False if it was not taken over, with nothing sent."""
        if not is_offered(self._http) or not self._is_ordinary():
            return False
        serving: Any = self._http.app(self._scope(), _no_receive, _no_send)
        try:
            serving.send(None)
        except (StopIteration, NotTakenOver):
            pass
        except Exception:
            logger.exception("Exception in ASGI application")
            if self._has_accepted:
                self._http.transport.abort()
        else:
            serving.close()  # it waits for something
        return self._has_accepted

    def accept(self, subprotocol: str) -> AcceptedSocket:
        """`extensions.TAKE_OVER`: send the response, and let the socket read from here on."""
        http, response = self._http, self._response
        del response.headers["Date"]  # one of the default headers
        for name, value in http.server_state.default_headers:
            response.headers[name.decode("latin-1")] = value.decode("latin-1")
        response.headers["Sec-WebSocket-Protocol"] = subprotocol
        http.transport.write(response.serialize())
        connections: set[Any] = http.connections  # uvicorn needs nothing of them but `shutdown`
        socket = AcceptedSocket(self._conn, http.transport, http.loop, connections)
        connections.discard(http)
        connections.add(socket)
        http.transport.set_protocol(socket)
        self._has_accepted = True
        return socket

    def _is_ordinary(self) -> bool:
        """Whether the request is a valid handshake of usual size, without a body."""
        http, headers = self._http, self._http.headers
        if not http.url.startswith(b"/") or any(name in BODY_HEADERS for name, _ in headers):
            return False
        size = len(http.url) + sum(len(name) + len(value) for name, value in headers)
        if size > MAX_HEAD_BYTES or len(headers) > MAX_HEADERS:
            return False
        decoded = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
        version = f"HTTP/{http.scope['http_version']}"
        self._response = self._conn.accept(Request(http.url.decode("latin-1"), decoded, http.scope["method"], version))
        return self._response.status_code == 101

    def _scope(self) -> dict[str, Any]:
        """The ASGI scope, as uvicorn's WebSocket protocol has it."""
        http = self._http
        path, _, query = http.url.partition(b"?")
        offered = [value.decode("latin-1") for name, value in http.headers if name == b"sec-websocket-protocol"]
        return {
            **http.scope,
            "type": "websocket",
            "scheme": "wss" if http.scheme == "https" else "ws",
            "path": http.root_path + unquote(path.decode("ascii")),
            "raw_path": http.root_path.encode("ascii") + path,
            "query_string": query,
            "subprotocols": [name.strip() for value in offered for name in value.split(",")],
            "extensions": {TAKE_OVER: self.accept},
        }


def is_offered(http: HttpToolsProtocol) -> bool:
    """Whether the app says that it takes connections over, and the server's options are those of `SERVER_OPTIONS`.

    Another app is not called twice: it might count calls, or wait before it answers.
    """
    app: Any = http.app
    takes_over = getattr(app, "takes_sockets_over", None)
    if takes_over is None and hasattr(app, "trusted_hosts"):  # uvicorn's ProxyHeadersMiddleware, which never waits
        takes_over = getattr(app.app, "takes_sockets_over", None)
    return bool(takes_over) and http.ws_protocol_class is WebSocketProtocol and http.config.ws_ping_interval is None


async def _no_receive() -> Never:
    raise NotTakenOver


async def _no_send(message: object) -> Never:
    raise NotTakenOver
