"""A second, empty database of the same kind, and helpers to look into an installation."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa

from roomcast.components import open_storage
from roomcast.core.columns import table
from roomcast.core.event_log import LogEntry
from roomcast.maintenance import databases, postgres_tools
from roomcast.messages.models import Message
from roomcast.settings import Settings
from roomcast.uploads.models import File, blob_name
from tests import servers

EVENTS, MESSAGES, FILES = table(LogEntry), table(Message), table(File)


@pytest_asyncio.fixture
async def other_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database of the kind of `database_url`."""
    if database_url.startswith("sqlite"):
        (tmp_path / "other").mkdir()
        yield f"sqlite:///{tmp_path / 'other' / 'roomcast.db'}"
        return
    server: servers.Server = request.getfixturevalue("postgres_server")
    await skip_without_tools(server.url)
    name = f"other_{uuid.uuid4().hex}"
    yield await servers.create_database(server.url, name)
    await servers.drop_database(server.url, name)


async def skip_without_tools(url: str) -> None:
    """Skip the test where PostgreSQL's tools are missing or older than the server."""
    async with databases.engine(url) as engine, engine.connect() as connection:
        version = int((await connection.execute(sa.text("SHOW server_version_num"))).scalar_one())
    try:
        for name in ("pg_dump", "pg_restore", "psql"):
            postgres_tools.find(name, version // 10_000)
    except postgres_tools.ToolFailed as error:
        servers.skip(error)


async def seqs(url: str) -> dict[UUID, list[int]]:
    """The seqs of the messages of each room, in their order."""
    found: dict[UUID, list[int]] = {}
    async with databases.engine(url) as engine, engine.connect() as connection:
        rows = await connection.execute(sa.select(MESSAGES.c.room_id, MESSAGES.c.seq).order_by(MESSAGES.c.seq))
        for room_id, seq in rows:
            found.setdefault(room_id, []).append(seq)
    return found


async def logs(url: str) -> dict[UUID, list[int]]:
    """The seqs of the events of each room, in their order."""
    found: dict[UUID, list[int]] = {}
    async with databases.engine(url) as engine, engine.connect() as connection:
        for room_id, seq in await connection.execute(sa.select(EVENTS.c.room_id, EVENTS.c.seq).order_by(EVENTS.c.seq)):
            found.setdefault(room_id, []).append(seq)
    return found


async def wrong_files(settings: Settings) -> list[str]:
    """The attachments whose bytes are missing or are others."""
    storage, wrong = open_storage(settings), []
    async with databases.engine(settings.database_url) as engine, engine.connect() as connection:
        files = (await connection.execute(sa.select(FILES).where(FILES.c.message_id.is_not(None)))).all()
    assert files
    for file in files:
        name = blob_name(file.id, file.sha256)
        content = await read_blob(storage, name)
        if content is None or hashlib.sha256(content).hexdigest() != file.sha256:
            wrong.append(name)
    return wrong


async def read_blob(storage: Any, name: str) -> bytes | None:
    try:
        chunks = await storage.open(name, 0, await storage.size(name))
    except FileNotFoundError:
        return None
    return b"".join([chunk async for chunk in chunks])
