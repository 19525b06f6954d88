"""The connection under a graphql-transport-ws connection: what it sends, and what is known of its client.

On our own server that is an `AcceptedSocket`, on others the ASGI connection.
"""

import sys
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
from roomcast.server.accepted_socket import AcceptedSocket
from roomcast.server.extensions import ABORT, DRAINED, REQUEST_ID, WRITE, extension

AsgiCallable = Callable[..., Awaitable[Any]]
"""ASGI's `receive` or `send`."""


class Transport:
    """`stall_seconds`: after so long without reading a byte, the client is disconnected.

    Messages go through `outbox`, which keeps their order. Only the close frame goes around it. The scope is not kept:
    it holds more memory than everything else of an idle connection.
    """

    __slots__ = (
        "_abort",
        "_send",
        "headers",
        "http_request_id",
        "ip_address",
        "origin",
        "outbox",
        "request_id",
        "trace_id",
    )

    def __init__(
        self, scope: Scope, send: AsgiCallable, stall_seconds: float, socket: AcceptedSocket | None = None
    ) -> None:
        """`socket`: the connection that was handed over, in place of `send`."""
        self.headers: list[tuple[bytes, bytes]] | None = scope["headers"]
        """The headers of the handshake, until the connection is initialised."""
        self.http_request_id: str | None = extension(scope, REQUEST_ID)
        """Of a stream over HTTP: its only operation has the id of the HTTP request."""
        self.request_id = self.http_request_id or request_ids.request_id(scope["headers"])
        self.trace_id = request_ids.trace_id(request_ids.traceparent(scope["headers"]))
        self.ip_address, self.origin = _ip_address(scope), _origin(scope)
        # `partial`, not a bound method: outbox and transport must not refer to each other in a cycle.
        self._send: AsgiCallable = send
        self._abort: Callable[[], None] = partial(_abort, scope)
        if socket is not None:
            self._send, self._abort = socket.send, socket.abort
            self.outbox = Outbox(self._send, self._abort, stall_seconds, socket.write_frames, socket.drained)
        else:
            write, drained = extension(scope, WRITE), extension(scope, DRAINED)
            self.outbox = Outbox(send, self._abort, stall_seconds, write, drained)

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
        self._abort()


def _ip_address(scope: Scope) -> str | None:
    """The client's. Interned, because many connections may share it."""
    client = scope.get("client")
    return sys.intern(client[0]) if client else None


def _origin(scope: Scope) -> str | None:
    """The web address of this server as the client wrote it: of a socket the http(s) address behind it, of a stream
    over plain HTTP the request's own. Interned, because most connections share it."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    scheme = "https" if scope["scheme"] in ("wss", "https") else "http"
    return sys.intern(f"{scheme}://{hosts[0]}{scope.get('root_path', '')}") if hosts else None


def _abort(scope: Scope) -> None:
    if abort := extension(scope, ABORT):
        abort()
