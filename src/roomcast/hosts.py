"""The Host header check: which host names this server responds to.

An attacker's web page can point its own host name at this server's address (DNS rebinding). The browser then treats
this server as the page's own origin, but still sends the page's name in the Host header. IP addresses and `localhost`
are always accepted: no DNS record can redirect them.
"""

import logging
from collections.abc import Collection, Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from roomcast.server import error_responses
from roomcast.settings import Settings

logger = logging.getLogger("roomcast")

PROBE_PATHS = "/health/"
"""Paths that accept any host name: probes use the names of containers, and the responses hold no data."""

MESSAGE = "This host name is not allowed. Add it to ROOMCAST_ALLOWED_HOSTS, or set it in ROOMCAST_PUBLIC_URL."


class HostCheck:
    """ASGI middleware: responds 421 to HTTP requests and WebSocket handshakes under a host name that is not allowed.

    A request without a Host header passes, as browsers always send one.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._is_allowed = lru_cache(1000)(lambda host: _is_allowed(host, names))
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        is_probe = scope["type"] == "http" and path.startswith(PROBE_PATHS)
        if scope["type"] == "lifespan" or is_probe or all(map(self._is_allowed, _hosts(scope))):
            await self._app(scope, receive, send)
            return
        # Log a warning, for an operator whose proxy uses another name. Once: any client could flood the log.
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "rejected a request to the host %r: %s", next(iter(_hosts(scope)))[:100].decode("latin-1"), MESSAGE
            )
        headers = dict(error_responses.HEADERS)
        response = Response(error_responses.error_body(421, MESSAGE), 421, headers)
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008, "reason": "Host not allowed"})
                return
        await response(scope, receive, send)


def allowed_names(settings: Settings) -> frozenset[str]:
    """The host names, besides IP addresses, that the settings allow."""
    public = urlsplit(settings.public_url).hostname if settings.public_url else None
    named = ("localhost", settings.host, public or "", *settings.allowed_hosts)
    ascii_names = (name if name.isascii() else name.encode("idna").decode() for name in named if name)
    return frozenset(name.lower() for name in ascii_names)


def _hosts(scope: Scope) -> Iterable[bytes]:
    return (value for name, value in scope["headers"] if name == b"host")


def _is_allowed(host: bytes, names: Collection[str]) -> bool:
    try:
        name = (urlsplit(f"//{host.decode('ascii')}").hostname or "").rstrip(".")
        return name in names or bool(ip_address(name))
    except ValueError:
        return False
