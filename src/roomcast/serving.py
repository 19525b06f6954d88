"""The ASGI app: `/graphql` goes straight to its handlers, everything else through Starlette's routes."""

import gc
import sys
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cache, partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from roomcast import health, metrics
from roomcast.accounts.passwords import Passwords
from roomcast.api.http import files
from roomcast.api.http.endpoint import on_http_exception
from roomcast.api.schema import root
from roomcast.app import Roomcast, open_roomcast
from roomcast.components import allowed_origins
from roomcast.core.rates import ClientAddresses
from roomcast.hosts import HostCheck, allowed_names
from roomcast.process_limits import raise_descriptor_limit, return_freed_memory
from roomcast.server.http_connections import CONNECTIONS
from roomcast.server.origins import Cors
from roomcast.settings import Settings, WrongSetting
from roomcast.single_process import ProcessLock
from roomcast.stopping import Stop
from roomcast.web import pages
from roomcast.web.files import GeneratedText
from roomcast.web.reference import routes as reference
from roomcast.worker_metrics import WorkerMetrics

SWITCH_INTERVAL_SECONDS = 0.001
"""How long another thread may run Python code while the event loop waits for the interpreter lock, which a request does
several times. Python's default is five times as long."""

GC_THRESHOLD = 10_000
"""Allocations minus deallocations after which the youngest generation is collected."""


class App:
    """Every operation passes here, so GraphQL requests skip Starlette's routing and exception middleware.

    `process_lock` is held while the app runs, and `stop` takes over the signals. Tests run several apps in one process
    and pass neither.
    """

    takes_sockets_over = True
    """Read by `server/takeover.py`: no code around `ConnectionRegistry.serve` waits or has an effect of its own."""

    def __init__(
        self,
        settings: Settings,
        passwords: Passwords | None = None,
        process_lock: ProcessLock | None = None,
        stop: Stop | None = None,
        worker_metrics: WorkerMetrics | None = None,
        *,
        is_prepared: bool = False,
    ) -> None:
        CONNECTIONS.max_per_address = settings.limits.http_connections_per_address
        CONNECTIONS.address_key = ClientAddresses(settings.trusted_networks).limited
        self._settings, self._passwords, self._process_lock = settings, passwords, process_lock
        self._stop, self._worker_metrics, self._is_prepared = stop, worker_metrics, is_prepared
        self._roomcast: Roomcast | None = None
        self._http_statuses: Counter[int] = Counter()
        root.build_schema()  # now: `app_alone` freezes what is there when the app has been built
        app = Starlette(
            routes=_routes(settings, lambda: self.roomcast, stop or Stop(), worker_metrics),
            exception_handlers={HTTPException: on_http_exception},
        )
        # Around Starlette, so that the error responses that it makes itself get the headers too.
        is_https = (settings.public_url or "").startswith("https:")
        origins = allowed_origins(settings)
        self._http, self._graphql = (
            pages.SecurityHeaders(Cors(inner, origins, settings.allowed_headers), is_https=is_https)
            for inner in (app, self._respond)
        )
        self._app = HostCheck(self._route, allowed_names(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        else:
            await self._app(scope, receive, self._counting(send) if scope["type"] == "http" else send)

    def _counting(self, send: Send) -> Send:
        """`send` of an HTTP request, which also counts the status of its response."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._http_statuses[message["status"]] += 1
            await send(message)

        return counted

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        """ASGI's lifespan. Starlette's own would report a wrong setting with a traceback."""
        await receive()
        step = "startup"
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                step = "shutdown"
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
        except Exception as error:
            reason = str(error) if isinstance(error, WrongSetting) else traceback.format_exc()
            await send({"type": f"lifespan.{step}.failed", "message": reason})

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

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.roomcast.http(Request(scope, receive))
        await response(scope, receive, send)

    @property
    def roomcast(self) -> Roomcast:
        """The running server. Raises RuntimeError outside of the lifespan."""
        if self._roomcast is None:
            raise RuntimeError("the server has not started")
        return self._roomcast

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Raises WrongSetting."""
        async with AsyncExitStack() as stack:
            if self._process_lock is not None:
                await stack.enter_async_context(self._process_lock.held())
            self._roomcast = await stack.enter_async_context(self._open())
            CONNECTIONS.on_refused = partial(self._roomcast.limiting.refusals.count, "http_connections_per_address")
            if self._settings.serves_metrics:
                metrics.register(self._roomcast, self._http_statuses)
                if self._worker_metrics is not None:
                    await stack.enter_async_context(self._worker_metrics.shared(self._roomcast.registry))
            if self._stop is not None:
                self._stop.take_over_signals(self._settings.drain_seconds, self._roomcast.sockets.close_all)
            yield
        self._roomcast = None

    def _open(self) -> AbstractAsyncContextManager[Roomcast]:
        return open_roomcast(self._settings, self._passwords, is_prepared=self._is_prepared)


def app_alone(
    settings: Settings,
    process_lock: ProcessLock | None = None,
    stop: Stop | None = None,
    worker_metrics: WorkerMetrics | None = None,
    *,
    is_prepared: bool = False,
) -> App:
    """The app for a process that runs nothing else: also sets process-wide limits and garbage collection. It refuses to
    start beside another server where the settings allow only one; `process_lock` may hold the lock of a file already.
    It drains its connections when the process gets a signal to stop. `worker_metrics`: this is one of several workers.
    `is_prepared`: this process has migrated the database and claimed the storage.

    A pause of the garbage collector delays all connections. Modules and the app's own objects live until the end of the
    process, so they are frozen and never visited again. The objects of an event's delivery are freed without the
    collector; with Python's default thresholds it took a third of the delivery time. Connections live long too: the
    oldest generation is collected once in millions of allocations.
    """
    raise_descriptor_limit()
    return_freed_memory()
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    app = App(
        settings,
        process_lock=process_lock or ProcessLock(settings),
        stop=stop or Stop(),
        worker_metrics=worker_metrics,
        is_prepared=is_prepared,
    )
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 50)
    return app


@cache
def _schema_text() -> GeneratedText:
    return GeneratedText(root.printed_schema(), "text/plain")


def _routes(
    settings: Settings, roomcast: Callable[[], Roomcast], stop: Stop, workers: WorkerMetrics | None
) -> list[BaseRoute]:
    async def schema_file(request: Request) -> Response:
        return _schema_text().response(request)

    return [
        Route("/schema.graphql", schema_file),
        *health.routes(roomcast, stop),
        *files.routes(lambda: roomcast().files),
        *([metrics.route(roomcast, settings.metrics_token, workers)] if settings.serves_metrics else []),
        *reference.routes(root.printed_schema),
        *pages.routes(),
    ]
