"""Other web origins whose pages may use the API: the rule for HTTP and WebSockets, and CORS headers.

Without cookies a foreign page can do nothing in the name of a user. The rule still keeps pages that nobody has allowed
from talking to a server in a private network, and from guessing passwords in the browsers of their visitors.
"""

import logging
import re
from collections.abc import Collection
from fnmatch import translate
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from roomcast.server import error_responses

logger = logging.getLogger("roomcast")

_LOCALHOST = re.compile(r"https?://(?:(?:[a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")

METHODS: Final = ("GET", "POST", "PUT")

SAFE_HEADERS: Final = ("accept", "accept-language", "content-language")
"""Request headers that every page may send (the Fetch standard); some browsers ask all the same."""

REQUEST_HEADERS: Final = (
    "authorization",
    "content-type",
    "range",
    # Sent by libraries for tracing and by Apollo's clients. A refusal would fail every request of such a page.
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "x-request-id",
    "apollo*",
    "x-apollo-*",
)
"""Request headers that pages of allowed origins may always send. `*` stands for any characters."""

RESPONSE_HEADERS: Final = ("x-request-id", "retry-after", "content-disposition", "content-range", "etag")
"""Response headers that these pages may read."""


class Origins:
    """`allowed`: origins besides the server's own. `allow_localhost`: also every page that this machine serves, such as
    the development server of a front end, whatever its port."""

    def __init__(self, allowed: Collection[str], *, allow_localhost: bool = False) -> None:
        self._allowed, self._allow_localhost = frozenset(allowed), allow_localhost
        self._has_warned = False

    def is_allowed(self, origin: str) -> bool:
        return origin in self._allowed or (self._allow_localhost and _LOCALHOST.fullmatch(origin) is not None)

    def refusal(self, origin: str) -> str:
        """The error message for an origin that is not allowed. Logs it once: any page could flood the log."""
        message = f"The web origin {origin[:100]} is not allowed. Add it to ROOMCAST_ALLOWED_ORIGINS."
        if not self._has_warned:
            self._has_warned = True
            logger.warning("rejected a request of a web page: %r", message)
        return message


class Cors(CORSMiddleware):
    """CORS by these rules. A rejected preflight is a JSON error that names the setting.

    `allowed_headers`: request headers besides REQUEST_HEADERS, with `*` for any characters.
    """

    def __init__(self, app: ASGIApp, origins: Origins, allowed_headers: Collection[str] = ()) -> None:
        # "*": `_refusal` has checked the requested headers, and the response repeats them.
        super().__init__(
            app,
            allow_methods=METHODS,
            allow_headers=["*"],
            expose_headers=RESPONSE_HEADERS,
            allow_private_network=True,
        )
        self._origins = origins
        patterns = (*SAFE_HEADERS, *REQUEST_HEADERS, *map(str.lower, allowed_headers))
        self._is_header_allowed = re.compile("|".join(map(translate, patterns))).match

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None or (scope["method"] != "OPTIONS" and not self._origins.is_allowed(origin)):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        return self._origins.is_allowed(origin)

    def preflight_response(self, request_headers: Headers) -> Response:
        if message := self._refusal(request_headers):
            headers = {"Vary": self.preflight_headers["Vary"]}
            return Response(error_responses.error_body(403, message), 403, headers, "application/json")
        return super().preflight_response(request_headers)

    def _refusal(self, request_headers: Headers) -> str | None:
        """Why the request that a preflight asks about is not allowed."""
        if not self._origins.is_allowed(request_headers["origin"]):
            return self._origins.refusal(request_headers["origin"])
        if request_headers["access-control-request-method"] not in METHODS:
            return f"Pages of other origins may use the methods {', '.join(METHODS)}."
        requested = map(str.strip, request_headers.get("access-control-request-headers", "").lower().split(","))
        refused = next((name for name in requested if name and not self._is_header_allowed(name)), None)
        if refused is not None:
            return f"The request header {refused[:100]} is not allowed. Add it to ROOMCAST_ALLOWED_HEADERS."
        return None
