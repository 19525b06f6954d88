"""Fixtures: an app whose database is behind a proxy, and direct access to the database to see what is stored."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from roomcast.core.ids import local_id
from tests.running_app import RunningApp, open_app, settings_for
from tests.storage.proxy import PostgresProxy

ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest_asyncio.fixture
async def proxy(database_url: str) -> AsyncIterator[PostgresProxy]:
    async with PostgresProxy(database_url) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def proxied(proxy: PostgresProxy, tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that connects to its database through the proxy, without rate limits."""
    async with open_app(settings_for(proxy.url, tmp_path, rate_limits="off")) as app:
        yield app


def id_of(room: str) -> UUID:
    found = local_id("room", room)
    assert found is not None
    return found


async def stored(database_url: str, room: str) -> list[str]:
    """The bodies of the room's messages, read directly from PostgreSQL, oldest first."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT body FROM messages WHERE room_id = $1 AND kind = 'USER' ORDER BY seq", id_of(room)
        )
    finally:
        await connection.close()
    return [row["body"] for row in rows]


@asynccontextmanager
async def locked_rooms(database_url: str, *rooms: str) -> AsyncIterator[None]:
    """Lock the heads of these rooms in another transaction, as a frozen process would."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT 1 FROM room_heads WHERE room_id = ANY($1) FOR UPDATE", [id_of(room) for room in rooms]
            )
            yield
    finally:
        await connection.close()
