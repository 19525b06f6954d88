"""Runs the real app on a real port in the test process, so that tests use it as clients do and can look inside."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from sqlmodel import col, select

from roomcast.accounts.passwords import Passwords
from roomcast.app import Roomcast
from roomcast.core.audit import AuditEntry
from roomcast.server.websocket_protocol import SERVER_OPTIONS, WebSocketProtocol
from roomcast.serving import App
from roomcast.settings import Settings

SECRET = "a secret for tests that is long enough to sign with"


class Server(uvicorn.Server):
    """uvicorn without signal handlers and main loop, started and stopped by a test."""

    async def start(self) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup()
        assert self.started, "the app did not start"

    async def stop(self) -> None:
        """Like uvicorn's `shutdown`, without its delay of a tenth of a second."""
        self.should_exit = True
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        await asyncio.wait_for(self._wait_tasks_to_complete(), SERVER_OPTIONS["timeout_graceful_shutdown"])
        await self.lifespan.shutdown()

    @property
    def port(self) -> int:
        [listening] = self.servers
        return int(listening.sockets[0].getsockname()[1])


class RunningApp:
    """A running server. `url` is its address, `roomcast` its parts."""

    def __init__(self, asgi_app: App, server: Server) -> None:
        self.roomcast: Roomcast = asgi_app.roomcast
        self.url = f"http://127.0.0.1:{server.port}"
        self.ws_url = f"ws://127.0.0.1:{server.port}/graphql"
        [listening] = server.servers
        [self.listening_socket] = listening.sockets

    async def wait_for_streams(self, count: int, seconds: float = 5.0) -> None:
        """Wait until `count` streams are open; roomMessages sends nothing when it starts."""
        async with asyncio.timeout(seconds):
            while self.roomcast.hub.reader_count != count:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.005)

    async def audit(self) -> list[AuditEntry]:
        """The audit trail, oldest entry first."""
        async with self.roomcast.db.read() as session:
            return list(await session.exec(select(AuditEntry).order_by(col(AuditEntry.id))))

    def open_resources(self) -> dict[str, Any]:
        """Counts that have to be 0 when all clients have disconnected."""
        hub = self.roomcast.hub
        return {
            "watched": len(self.roomcast.backend.watchers.topics),
            "topics": len(hub.topics),
            "readers": hub.reader_count,
            "sockets": len(self.roomcast.sockets.connections),
        }


def settings_for(database_url: str, data_dir: Path, **changes: Any) -> Settings:
    """Settings that do not depend on the environment of the test run."""
    for name in [name for name in os.environ if name.startswith("ROOMCAST_") and "TEST" not in name]:
        del os.environ[name]
    chosen = {"secret_key": SECRET, "migrate_on_start": False, **changes}
    return Settings(_env_file=None, database_url=database_url, data_dir=data_dir, **chosen)


@asynccontextmanager
async def open_app(settings: Settings, passwords: Passwords | None = None) -> AsyncIterator[RunningApp]:
    """Run a server until the block ends, and check that nothing is left. Password hashing is cheap by default."""
    before = asyncio.all_tasks()
    asgi_app = App(settings, passwords or Passwords(memory_kib=8, passes=1))
    config = uvicorn.Config(
        asgi_app, "127.0.0.1", 0, ws=WebSocketProtocol, log_config=None, access_log=False, **SERVER_OPTIONS
    )
    server = Server(config)
    await server.start()
    app = RunningApp(asgi_app, server)
    try:
        yield app
        await wait_until_all_closed(app)
    finally:
        await server.stop()
    await wait_until_tasks_end(before)
    assert app.roomcast.db.refused_connections == 0, "a connection was idle in a transaction at check-in"


async def wait_until_all_closed(app: RunningApp, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while any(app.open_resources().values()):  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.01)


async def wait_until_tasks_end(before: set[asyncio.Task[Any]], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while left := {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}:
            await asyncio.wait(left, timeout=0.1)
