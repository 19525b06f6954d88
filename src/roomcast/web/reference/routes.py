"""Serves the API reference at `/docs`."""

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from roomcast.web.reference.page import render


@dataclass(frozen=True)
class _Page:
    body: bytes
    compressed: bytes
    etag: str


def routes(sdl: Callable[[], str]) -> list[BaseRoute]:
    """The page for the schema that `sdl` prints. It is rendered at the first request, and once in a process."""
    rendering = asyncio.Lock()

    async def reference(request: Request) -> Response:
        # In a thread: it takes longer than the event loop may stand still. With a lock: in one thread at a time.
        async with rendering:
            page = await asyncio.to_thread(lambda: _rendered(sdl()))
        return _response(request, page)

    return [Route("/docs", reference)]


@cache
def _rendered(sdl: str) -> _Page:
    body = render(sdl).encode()
    return _Page(body, gzip.compress(body, mtime=0), hashlib.sha256(body).hexdigest()[:32])


def _response(request: Request, page: _Page) -> Response:
    is_compressed = _accepts_gzip(request.headers.get("accept-encoding", ""))
    etag = f'"{page.etag}-gzip"' if is_compressed else f'"{page.etag}"'
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "ETag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if is_compressed:
        headers["Content-Encoding"] = "gzip"
    return Response(page.compressed if is_compressed else page.body, headers=headers, media_type="text/html")


def _accepts_gzip(accepted: str) -> bool:
    for choice in accepted.lower().split(","):
        coding, _, quality = choice.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return quality.strip("0.") != "" if quality else True
    return False
