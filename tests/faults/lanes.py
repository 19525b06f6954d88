"""A lane: one app with its own database behind a fault proxy, and its users. Several lanes run at once."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from sqlalchemy import event as sa_event
from websockets.exceptions import ConnectionClosed

from roomcast.accounts.passwords import Passwords
from roomcast.core.db import Database
from roomcast.core.events import Event
from roomcast.server.websocket_protocol import SERVER_OPTIONS, WebSocketProtocol
from roomcast.serving import App
from tests.api_clients import AnonymousClient, SocketClient, UserClient, sign_up
from tests.faults.proxy import FaultProxy
from tests.running_app import RunningApp, Server, settings_for

COMMAND_SECONDS = 0.5
"""How long the app waits for a response of the database in these tests, instead of the usual timeout."""

SETTLE_SECONDS = 20.0


class Lane:
    """`admin` is a connection to the database without the proxy. `published` are the events that the app has
    published."""

    def __init__(self, app: RunningApp, proxy: FaultProxy, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.app, self.proxy, self.admin = app, proxy, admin
        self.published: list[Event] = []
        self.people: dict[str, UserClient] = {}
        self.shared_room_id = ""
        self.fired: str | None = None
        self._visitors: dict[str | None, AnonymousClient] = {}
        self._connections: dict[str | None, SocketClient] = {}
        self._names = itertools.count(1)
        self._record_published(app.roomcast.db)

    def _record_published(self, db: Database) -> None:
        publish = db.publish

        def recording(events: Sequence[Event]) -> None:
            self.published.extend(events)
            publish(events)

        db.publish = recording

    def name(self, stem: str = "x") -> str:
        """A name that is unique in this lane."""
        return f"{stem}{next(self._names)}"

    async def person(self, stem: str) -> UserClient:
        """Sign up a new user. The lane closes the client."""
        person = await sign_up(self.app, self.name(stem))
        self.people[person.name] = person
        return person

    def client_with_token(self, token: str | None) -> AnonymousClient:
        """A client with this access token. The lane closes it."""
        if token not in self._visitors:
            self._visitors[token] = AnonymousClient(self.app, token)
        return self._visitors[token]

    def anonymous_client(self) -> AnonymousClient:
        """A client without an account."""
        return self.client_with_token(None)

    async def connection(self, actor: AnonymousClient) -> SocketClient:
        """An open socket of this user, reused while it is open."""
        connection = self._connections.get(actor.token)
        if connection is None or connection.reading.done():
            connection = self._connections[actor.token] = await self.new_connection(actor)
        return connection

    async def new_connection(self, actor: AnonymousClient, **payload: Any) -> SocketClient:
        """Raises ConnectionError when the server closes it instead of acknowledging it."""
        connection = SocketClient(self.app.ws_url)
        await connection.__aenter__()
        signed_in = {"authorization": f"Bearer {actor.token}"} if actor.token else {}
        opening = asyncio.ensure_future(connection.init({**signed_in, **payload}))
        await asyncio.wait([opening, connection.reading], return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            return connection
        opening.cancel()
        await end(connection)
        raise ConnectionError("the server closed the socket")

    async def drop_connection(self, actor: AnonymousClient) -> None:
        if connection := self._connections.pop(actor.token, None):
            await end(connection)

    async def count(self, sql: str, *arguments: Any) -> int:
        return int(await self.admin.fetchval(sql, *arguments))

    async def log_of(self, room_id: str) -> list[tuple[int, str]]:
        """Sequence number and kind of each event that the database holds of this room."""
        rows = await self.admin.fetch(
            "SELECT seq, kind FROM room_events WHERE room_id = $1 ORDER BY seq", UUID(room_id.removeprefix("room_"))
        )
        return [(row["seq"], row["kind"]) for row in rows]

    # ------------------------------------------------------------------ connections

    async def settle(self) -> None:
        """Wait until no connection is in use and no server session is in a transaction."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while not await self._is_settled():  # noqa: ASYNC110 (there is no event for it)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            used, idle = self._pool().checkedout(), await self.idle_in_transaction()
            raise AssertionError(f"never settled: {used} connections in use, idle in transaction: {idle}") from None

    async def _is_settled(self) -> bool:
        return self._pool().checkedout() == 0 and not await self.idle_in_transaction()

    async def idle_in_transaction(self) -> list[str]:
        """The last statement of each server session that is idle in a transaction."""
        rows = await self.admin.fetch(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in trans%'"
        )
        return [row["query"] for row in rows]

    def pooled_in_transaction(self) -> int:
        """How many connections lie in the pool while the driver knows them to be in a transaction."""
        records = list(self._pool()._pool._queue._queue)
        adapted = [record.dbapi_connection for record in records if record.dbapi_connection is not None]
        drivers = [connection.driver_connection for connection in adapted]
        return sum(driver.is_in_transaction() for driver in drivers if driver is not None and not driver.is_closed())

    def _pool(self) -> Any:
        return self.app.roomcast.db._writer.sync_engine.pool

    async def close(self) -> None:
        for connection in self._connections.values():
            await end(connection)
        for client in (*self.people.values(), *self._visitors.values()):
            await client.http.aclose()


async def end(connection: SocketClient) -> None:
    with suppress(ConnectionClosed, OSError):
        await connection.__aexit__(None, None, None)


async def shorten_timeouts(db: Database, seconds: float = COMMAND_SECONDS) -> None:
    """Replace the connections of this database by ones that give up on a silent server after `seconds`."""

    def connecting(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        parameters |= {"command_timeout": seconds, "timeout": 2 * seconds}

    for engine in {db._writer, db._reader}:
        sa_event.listen(engine.sync_engine, "do_connect", connecting)
        await engine.dispose()


@asynccontextmanager
async def open_lane(database_url: str, folder: Path) -> AsyncIterator[Lane]:
    admin = await asyncpg.connect(database_url)
    async with FaultProxy(database_url, stall_seconds=1.5 * COMMAND_SECONDS).running() as proxy:
        settings = settings_for(
            proxy.url,
            folder,
            rate_limits="off",
            push_allowed_hosts=("127.0.0.1",),
            access_token_seconds=86_400,
        )
        asgi_app = App(settings, Passwords(memory_kib=8, passes=1))
        config = uvicorn.Config(
            asgi_app, "127.0.0.1", 0, ws=WebSocketProtocol, log_config=None, access_log=False, **SERVER_OPTIONS
        )
        server = Server(config)
        await server.start()
        await shorten_timeouts(asgi_app.roomcast.db)
        lane = Lane(RunningApp(asgi_app, server), proxy, admin)
        try:
            yield lane
        finally:
            await lane.close()
            await server.stop()
    await admin.close()
