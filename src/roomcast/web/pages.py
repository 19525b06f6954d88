"""The chat page and GraphiQL: files of this package alone, under a policy that lets nothing from elsewhere in."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC: Final = Path(__file__).parent / "static"

PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",  # the socket of the same origin included: CSP 3, in Safari since 15.4
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

# Not left to the machine's own table: where that calls a script text/plain, `nosniff` would stop it.
CONTENT_TYPES: Final[dict[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def routes() -> list[BaseRoute]:
    """The chat page at `/` and its files under `/static/`; nothing outside this package can be reached."""
    files = Files(directory=STATIC)

    async def home(request: Request) -> Response:
        return await files.get_response("app/index.html", request.scope)

    return [Route("/", home), Mount("/static", files, name="static")]


def playground() -> Response:
    """GraphiQL's page, for a `GET /graphql` that prefers HTML to JSON."""
    return FileResponse(
        STATIC / "graphiql" / "index.html",
        media_type="text/html",
        headers={"Cache-Control": "no-cache", "Vary": "Accept"},
    )


class Files(StaticFiles):
    """Static files that keep their names between releases, so a browser asks each time and mostly hears 304."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        known = CONTENT_TYPES.get(Path(full_path).suffix)
        if known and "content-type" in response.headers:
            response.headers["Content-Type"] = known
        return response


HSTS: Final = {"Strict-Transport-Security": "max-age=31536000"}
"""A year of https for this host. Not for its subdomains, which may be somebody else's."""


class SecurityHeaders:
    """ASGI middleware: every HTTP response leaves with the security headers it did not set itself.

    `is_https`: people reach this server by https only, and browsers are told so.
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
    """Adds what is missing to an `http.response.start` message."""
    start.setdefault("headers", [])
    headers = MutableHeaders(scope=start)
    for name, value in wanted.items():
        headers.setdefault(name, value)
    # A 304 says nothing of its type, and the browser would put the policy it brings on the page it has stored.
    if start["status"] != 304:
        headers.setdefault("Content-Security-Policy", policy_for(headers.get("content-type", "")))


def policy_for(content_type: str) -> str:
    return PAGE_POLICY if content_type.lower().startswith("text/html") else DATA_POLICY
