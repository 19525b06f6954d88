"""pgbouncer in transaction mode between the server and PostgreSQL: the server works with it, or says what to set."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from sqlmodel import text

from roomcast.core import migrations
from roomcast.core.db import Database
from roomcast.core.direct_queries import fetch
from roomcast.core.postgres import OF_TRANSACTIONS, SETTINGS, SINCE_VERSION
from roomcast.settings import WrongSetting
from roomcast.startup import check_poolers
from tests import servers
from tests.api_clients import ROOM_EVENTS, sign_up
from tests.deployment.poolers import pgbouncer
from tests.process import SERVE, Process, processes
from tests.running_app import settings_for

SENDS = 40


@pytest_asyncio.fixture
async def empty_database(postgres_server: servers.Server) -> AsyncIterator[str]:
    name = f"pooled_{uuid.uuid4().hex}"
    yield await servers.create_database(postgres_server.url, name)
    await servers.drop_database(postgres_server.url, name)


async def test_two_processes_send_stream_and_migrate_through_it(empty_database: str, tmp_path: Path) -> None:
    with pgbouncer(empty_database) as pooled:
        await migrations.upgrade(f"{pooled}?pgbouncer=true")
        settings = {"bus_url": pooled, "database_direct_url": empty_database, "push": "off"}
        async with processes(2, f"{pooled}?pgbouncer=true", tmp_path, **settings) as (first, second):
            async with await sign_up(first.app, "ann") as ann, await sign_up(second.app, "bob") as bob:
                room = await ann.create_room("through the pooler")
                await bob.join(room)
                async with bob.connect() as socket:
                    stream = await socket.subscribe(ROOM_EVENTS, roomId=room)
                    await stream.wait_until_ready()
                    sends = [client.send(room, f"{number}") for number in range(SENDS) for client in (ann, bob)]
                    answers = await asyncio.gather(*sends)
                    assert [answer["errors"] for answer in answers] == [[]] * len(answers)
                    sent = {answer["message"]["id"] for answer in answers}
                    received: set[str] = set()
                    while not sent <= received:
                        received.add((await stream.next_event())["message"]["id"])
            for process in (first, second):
                assert '"level": "error"' not in process.log_text()


async def test_the_time_limits_hold_in_each_transaction_and_nowhere_else(empty_database: str) -> None:
    with pgbouncer(empty_database, connections=1) as pooled:
        db = Database(f"{pooled}?statement_cache_size=0")
        try:
            async with db.read() as session:
                version = int((await fetch(session, text("SHOW server_version_num")))[0][0]) // 10_000
                for name in OF_TRANSACTIONS:
                    if version >= SINCE_VERSION.get(name, 0):
                        assert (await fetch(session, text(f"SHOW {name}")))[0][0] in (SETTINGS[name], "1min")
        finally:
            await db.close()
        other = await asyncpg.connect(pooled, statement_cache_size=0)  # gets the same connection of the database
        try:
            async with other.transaction():
                assert await other.fetchval("SHOW lock_timeout") == "0"
        finally:
            other.terminate()


async def test_an_undeclared_pooler_is_refused_in_words(empty_database: str, tmp_path: Path) -> None:
    await migrations.upgrade(empty_database)
    with pgbouncer(empty_database) as pooled:
        with pytest.raises(WrongSetting, match=r"ROOMCAST_DATABASE_URL: a pooler .* append \?pgbouncer=true"):
            await check_poolers(settings_for(pooled, tmp_path))
        with pytest.raises(WrongSetting, match="ROOMCAST_DATABASE_DIRECT_URL: a pooler .* LISTEN does not work"):
            await check_poolers(
                settings_for(f"{pooled}?pgbouncer=true", tmp_path, database_direct_url=pooled, bus_url="redis://x")
            )
        with pytest.raises(WrongSetting, match="ROOMCAST_BUS_URL: a pooler .* LISTEN does not work"):
            await check_poolers(settings_for(empty_database, tmp_path, bus_url=pooled))
        environment = Process(pooled, tmp_path).environment
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SERVE, "doctor"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert "append ?pgbouncer=true" in done.stdout


async def test_a_pooler_that_shares_no_connections_needs_no_setting(empty_database: str, tmp_path: Path) -> None:
    with pgbouncer(empty_database, pool_mode="session") as pooled:
        await check_poolers(settings_for(pooled, tmp_path))
