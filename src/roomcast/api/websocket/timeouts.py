"""One ASGI connection of a socket: what it is made of, what our own server adds, and how long it is waited for."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from roomcast.accounts.sessions import Sessions
from roomcast.api import access_tokens
from roomcast.api.schema.scalars import serialize_time
from roomcast.api.schema.server import HEARTBEAT_MS
from roomcast.api.websocket.protocol import CloseCode
from roomcast.core.actor import Actor
from roomcast.core.errors import TokenExpired, Unauthenticated
from roomcast.core.ids import global_id
from roomcast.server.websocket_protocol import ABORT

log = logging.getLogger("roomcast.socket")

Asgi = Callable[..., Awaitable[Any]]

AsgiConnection = tuple[Scope, Asgi, Asgi]
"""An ASGI connection: scope, receive, send."""


@dataclass(frozen=True, slots=True)
class Timeouts:
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


def address(scope: Scope) -> str | None:
    """The peer's IP address."""
    client = scope.get("client")
    return client[0] if client else None


# ------------------------------------------------------------------ connection_init


class NotAdmitted(Exception):
    """A connection that closes instead of being acknowledged."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


async def authenticate(sessions: Sessions, scope: Scope, payload: Mapping[str, Any]) -> Actor | None:
    """Whom a connection acts for by what its client says first; None is anonymous. Raises NotAdmitted."""
    try:
        token = access_tokens.from_init(payload) or access_tokens.from_headers(scope["headers"])
        return await sessions.authenticate(token) if token else None
    except TokenExpired as error:
        raise NotAdmitted(CloseCode.FORBIDDEN, error.message) from None
    except Unauthenticated as error:
        raise NotAdmitted(CloseCode.UNAUTHORIZED, error.message) from None
    except Exception:
        log.exception("a connection could not be initialised")
        raise NotAdmitted(CloseCode.TRY_AGAIN_LATER, "Try again later") from None


def acknowledgement(viewer: Actor | None, pace: Timeouts) -> dict[str, Any]:
    """The payload of `connection_ack`."""
    return {
        "heartbeatMs": round(pace.heartbeat * 1000),
        "sessionId": global_id("session", viewer.session_id) if viewer else None,
        "accessTokenExpiresAt": serialize_time(viewer.token_expires_at) if viewer else None,
    }
