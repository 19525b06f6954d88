"""Serves the API reference at `/docs`."""

import asyncio
from collections.abc import Callable
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from roomcast.web.files import GeneratedText


def routes(sdl: Callable[[], str]) -> list[BaseRoute]:
    """The page for the schema that `sdl` prints. It is rendered at the first request, and once in a process."""
    rendering = asyncio.Lock()

    async def reference(request: Request) -> Response:
        # In a thread: it takes longer than the event loop may stand still. With a lock: in one thread at a time.
        async with rendering:
            page = await asyncio.to_thread(lambda: _rendered(sdl()))
        return page.response(request)

    return [Route("/docs", reference)]


@cache
def _rendered(sdl: str) -> GeneratedText:
    from roomcast.web.reference.page import render  # noqa: PLC0415 (slow, and not needed by the first request)

    return GeneratedText(render(sdl), "text/html")
