"""The whole product as one ASGI app: `/graphql` straight to its handlers, the rest through Starlette's routes."""

import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from roomcast import metrics
from roomcast.accounts.passwords import Passwords
from roomcast.api.http import error_responses, files
from roomcast.api.http.endpoint import not_served
from roomcast.api.schema import root
from roomcast.app import Roomcast, open_roomcast
from roomcast.descriptors import raise_descriptor_limit
from roomcast.hosts import HostCheck, allowed_names
from roomcast.server.http_connections import CONNECTIONS
from roomcast.settings import OnOff, Settings
from roomcast.web import pages

SWITCH_SECONDS = 0.001
"""How long a thread that runs Python keeps the interpreter while the event loop wants it: a request asks several
times. Python's own figure is five times as long."""

COLLECT_AFTER = 10_000
"""Objects made and not yet gone since the last look for cycles among them."""


class App:
    """Every operation and every listener's every event pass here: they are spared the layers that pages go through."""

    def __init__(self, settings: Settings, passwords: Passwords | None = None) -> None:
        self._settings, self._passwords = settings, passwords
        self._roomcast: Roomcast | None = None
        root.build_schema()  # now: `app_alone` freezes what is there when the app has been built
        app = Starlette(
            routes=_routes(settings, lambda: self.roomcast),
            exception_handlers={HTTPException: not_served},
            lifespan=self.lifespan,
        )
        # Outside of Starlette, so that the answers it gives on its own leave with the headers too.
        is_https = (settings.public_url or "").startswith("https:")
        self._http = pages.SecurityHeaders(_with_cors(app, settings), is_https=is_https)
        self._graphql = pages.SecurityHeaders(_with_cors(self._answer, settings), is_https=is_https)
        self._checked = HostCheck(self._route, allowed_names(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._checked(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_graphql = scope.get("path") == scope.get("root_path", "") + "/graphql"
        if scope["type"] == "websocket" and is_graphql:
            await self.roomcast.sockets.serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http" and is_graphql:
            await self._graphql(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.roomcast.http(Request(scope, receive))
        await response(scope, receive, send)

    @property
    def roomcast(self) -> Roomcast:
        """The running server. Raises RuntimeError outside of the lifespan."""
        if self._roomcast is None:
            raise RuntimeError("the server has not started")
        return self._roomcast

    @asynccontextmanager
    async def lifespan(self, _app: Starlette | None = None) -> AsyncIterator[None]:
        async with open_roomcast(self._settings, self._passwords) as self._roomcast:
            if self._settings.serves_metrics:
                metrics.register(self._roomcast)
            yield
        self._roomcast = None


def app_alone(settings: Settings) -> App:
    """The app, in a process that does nothing else.

    A pause of the garbage collector is everybody's. What was imported and built for the app stays until the end, so
    it is never looked at again; what an event makes for many people goes without it, and was a third of their time;
    and all sockets together, which live long too, are looked at once in millions of new objects.
    """
    raise_descriptor_limit()
    sys.setswitchinterval(SWITCH_SECONDS)
    if settings.rate_limits is OnOff.OFF:
        CONNECTIONS.max_per_address = None
    app = App(settings)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 50)
    return app


class Cors(CORSMiddleware):
    """Says in JSON, as everybody does here, why a preflight is refused."""

    def preflight_response(self, request_headers: Headers) -> Response:
        found = super().preflight_response(request_headers)
        if found.status_code < 400:
            return found
        headers = {name: value for name, value in found.headers.items() if not name.startswith("content-")}
        return Response(error_responses.body(403, bytes(found.body).decode()), 403, headers, "application/json")


def _with_cors(app: ASGIApp, settings: Settings) -> ASGIApp:
    if not settings.allowed_origins:
        return app
    return Cors(
        app,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST", "PUT"],
        allow_headers=["authorization", "content-type", "range"],
        expose_headers=["x-request-id", "retry-after", "content-disposition", "content-range", "etag"],
    )


def _routes(settings: Settings, roomcast: Callable[[], Roomcast]) -> list[BaseRoute]:
    async def schema_file(_request: Request) -> Response:
        return PlainTextResponse(root.printed_schema())

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        parts = await roomcast().is_ready()
        good = all(parts.values())
        shown = {name: "ok" if part else "down" for name, part in parts.items()}
        return JSONResponse({"status": "ok" if good else "down", **shown}, 200 if good else 503)

    return [
        Route("/schema.graphql", schema_file),
        Route("/health/live", live),
        Route("/health/ready", ready),
        *files.routes(lambda: roomcast().files),
        *([metrics.route(roomcast, settings.metrics_token)] if settings.serves_metrics else []),
        *pages.routes(),
    ]
