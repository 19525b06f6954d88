"""Serves the chat page and GraphiQL, and adds security headers to every HTTP response."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roomcast.web.files import Files

STATIC: Final = Path(__file__).parent / "static"
FILES: Final = Files(directory=STATIC, check_dir=False)  # commands that serve no pages import this, too

PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",  # includes WebSockets to the same origin (CSP 3; Safari 15.4 and later)
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"

SECURITY_HEADERS: Final[dict[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def routes() -> list[BaseRoute]:
    """The chat page at `/`, and its files under `/static/`. Only files of this package are served."""

    async def home(request: Request) -> Response:
        return await FILES.get_response("app/index.html", request.scope)

    return [Route("/", home), Mount("/static", FILES, name="static")]


async def playground(request: Request) -> Response:
    """The GraphiQL page, the response to a `GET /graphql` that prefers HTML to JSON."""
    response = await FILES.get_response("graphiql/index.html", request.scope)
    response.headers.add_vary_header("Accept")
    return response


HSTS: Final = {"Strict-Transport-Security": "max-age=31536000"}
"""One year. Subdomains are not included: they may belong to other services."""


class SecurityHeaders:
    """ASGI middleware that adds the security headers that a response does not set itself.

    `is_https`: clients use https only; responses then have Strict-Transport-Security.
    """

    def __init__(self, app: ASGIApp, *, is_https: bool = False) -> None:
        self.app = app
        self._headers = {**SECURITY_HEADERS, **(HSTS if is_https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                protect(message, self._headers)
            await send(message)

        await self.app(scope, receive, send_protected if scope["type"] == "http" else send)


def protect(start: Message, wanted: Mapping[str, str] = SECURITY_HEADERS) -> None:
    """Add the missing headers to an `http.response.start` message."""
    start.setdefault("headers", [])
    headers = MutableHeaders(scope=start)
    for name, value in wanted.items():
        headers.setdefault(name, value)
    # A 304 has no content type, and browsers would apply its policy to the page that they have stored.
    if start["status"] != 304:
        headers.setdefault("Content-Security-Policy", policy_for(headers.get("content-type", "")))


def policy_for(content_type: str) -> str:
    return PAGE_POLICY if content_type.lower().startswith("text/html") else DATA_POLICY
