"""One ASGI connection of a socket: what it is made of, what our own server adds, and how long it is waited for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from roomcast.api.server import HEARTBEAT_MS
from roomcast.api.transport import ABORT

Asgi = Callable[..., Awaitable[Any]]

Wire = tuple[Scope, Asgi, Asgi]
"""An ASGI connection: scope, receive, send."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a socket waits for what, in seconds.

    `tick`: how often it looks at the clock. `grace`: how long everything still works after an access token's end;
    `refreshSession` extends it, or 4403 ends it. `patience`: how long a subscription waits for a database that does
    not answer. `finish`: how long a server that stops waits for what runs. `close`: for a peer to take the last words.
    """

    tick: float = 1.0
    heartbeat: float = HEARTBEAT_MS / 1000
    init: float = 10.0
    grace: float = 30.0
    patience: float = 30.0
    stall: float = 30.0
    finish: float = 5.0
    close: float = 5.0


def extension(scope: Scope, name: str) -> Any:
    """What our own server offers beyond ASGI; None on others."""
    return scope.get("extensions", {}).get(name)


def abort(scope: Scope) -> None:
    """Drop a peer that takes no bytes, where the server can: a closing handshake would wait for it for ever."""
    if drop := extension(scope, ABORT):
        drop()


def origin(scope: Scope) -> str | None:
    """The web address behind the socket's, or the stream's over plain HTTP, as the client wrote it."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    scheme = "https" if scope["scheme"] in ("wss", "https") else "http"
    return f"{scheme}://{hosts[0]}{scope.get('root_path', '')}" if hosts else None
