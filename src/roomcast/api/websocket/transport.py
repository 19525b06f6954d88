"""The ASGI connection under a WebSocket connection: what it sends, and the extensions of our own server."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from starlette.types import Scope

from roomcast.api import request_ids
from roomcast.api.execution.documents import RequestErrors
from roomcast.api.execution.engine import request_errors_payload
from roomcast.api.websocket import protocol
from roomcast.api.websocket.protocol import CloseCode
from roomcast.realtime.outbox import Outbox
from roomcast.server.extensions import ABORT, DRAINED, LEAVE, REQUEST_ID, WRITE

AsgiCallable = Callable[..., Awaitable[Any]]
"""ASGI's `receive` or `send`."""


class Transport:
    """`stall_seconds`: after so long without reading a byte, the client is disconnected.

    Messages go through `outbox`, which keeps their order. Only the close frame goes around it.
    """

    def __init__(self, scope: Scope, receive: AsgiCallable, send: AsgiCallable, stall_seconds: float) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.http_request_id: str | None = _extension(scope, REQUEST_ID)
        """Of a stream over HTTP: its only operation has the id of the HTTP request."""
        self.request_id = self.http_request_id or request_ids.request_id(scope["headers"])
        write, drained = _extension(scope, WRITE), _extension(scope, DRAINED)
        # `partial`, not a bound method: outbox and transport must not refer to each other in a cycle.
        self.outbox = Outbox(send, partial(_abort, scope), stall_seconds, write, drained)

    @property
    def ip_address(self) -> str | None:
        """The client's."""
        client = self.scope.get("client")
        return client[0] if client else None

    @property
    def origin(self) -> str | None:
        """The web address of this server as the client wrote it: of a socket the http(s) address behind it, of a
        stream over plain HTTP the request's own."""
        hosts = [value.decode("latin-1") for name, value in self.scope["headers"] if name == b"host"]
        scheme = "https" if self.scope["scheme"] in ("wss", "https") else "http"
        return f"{scheme}://{hosts[0]}{self.scope.get('root_path', '')}" if hosts else None

    def set_stop_handler(self, on_server_stop: Callable[[], None]) -> None:
        """Our own server calls this when it stops; other servers do not know it."""
        self.scope.setdefault("extensions", {})[LEAVE] = on_server_stop

    # ------------------------------------------------------------------ sending

    def send(self, kind: str, id_: str, payload: bytes | None = None) -> None:
        """Send a message of one operation; `payload` is JSON."""
        body = b',"payload":' + payload if payload is not None else b""
        self.outbox.put(protocol.encode_head(kind, id_) + body + b"}")

    def send_error(self, id_: str, errors: RequestErrors, request_id: str) -> None:
        self.send("error", id_, orjson.dumps(request_errors_payload(errors, request_id)["errors"]))

    async def send_close(self, code: CloseCode, reason: str) -> None:
        """Send the close frame after everything that waits. The caller limits the time."""
        await self.outbox.idle()
        message = {"type": "websocket.close", "code": int(code), "reason": protocol.truncate_reason(reason)}
        await self._send(message)

    def abort(self) -> None:
        """Drop the connection without a close frame, where the server can."""
        _abort(self.scope)


def _extension(scope: Scope, name: str) -> Any:
    """An extension of our own server; None on other servers."""
    return scope.get("extensions", {}).get(name)


def _abort(scope: Scope) -> None:
    if abort := _extension(scope, ABORT):
        abort()
