"""Host headers: which names this server answers to.

A web page can point its own name at our address (DNS rebinding), and a browser then takes us for the page's own origin.
The Host header still has the page's name. An IP address cannot be pointed anywhere, and nor can `localhost`.
"""

import logging
from collections.abc import Collection, Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from roomcast.api.http import error_responses
from roomcast.settings import Settings

logger = logging.getLogger("roomcast")

PROBES = "/health/"
"""Paths that are answered under any name: probes ask by the names of containers, and learn nothing."""

MESSAGE = "This server does not answer to this host name: name it in ROOMCAST_ALLOWED_HOSTS or ROOMCAST_PUBLIC_URL."


class HostCheck:
    """ASGI middleware: 421 for HTTP requests and socket handshakes under a name that is not ours.

    A request without a Host header passes: browsers always send one.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._is_ours = lru_cache(1000)(lambda host: _is_ours(host, names))
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or _is_probe(scope) or all(map(self._is_ours, _hosts(scope))):
            await self._app(scope, receive, send)
            return
        self._warn(next(iter(_hosts(scope))))
        headers = dict(error_responses.HEADERS)
        response = Response(error_responses.body(421, MESSAGE), 421, headers)
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008, "reason": "Host not allowed"})
                return
        await response(scope, receive, send)

    def _warn(self, host: bytes) -> None:
        """Once: for an operator whose proxy names this server otherwise. More lines would be anybody's to write."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning("refused a request to the host %r: %s", host[:100].decode("latin-1"), MESSAGE)


def allowed_names(settings: Settings) -> frozenset[str]:
    """The names, besides IP addresses, that the settings say are ours."""
    public = urlsplit(settings.public_url).hostname if settings.public_url else None
    named = ("localhost", settings.host, public or "", *settings.allowed_hosts)
    ascii_names = (name if name.isascii() else name.encode("idna").decode() for name in named if name)
    return frozenset(name.lower() for name in ascii_names)


def _hosts(scope: Scope) -> Iterable[bytes]:
    return (value for name, value in scope["headers"] if name == b"host")


def _is_probe(scope: Scope) -> bool:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return scope["type"] == "http" and path.startswith(PROBES)


def _is_ours(host: bytes, names: Collection[str]) -> bool:
    try:
        name = (urlsplit(f"//{host.decode('ascii')}").hostname or "").rstrip(".")
        return name in names or bool(ip_address(name))
    except ValueError:
        return False
