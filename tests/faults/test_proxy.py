"""The fault proxy, tested with a plain driver."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from tests import servers
from tests.faults.proxy import Fault, FaultProxy, Kind, Side

STALL_SECONDS = 0.2


@pytest_asyncio.fixture
async def proxy(postgres_server: servers.Server) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(postgres_server.url, STALL_SECONDS).running() as running:
        yield running


@pytest_asyncio.fixture
async def connection(proxy: FaultProxy) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connected = await asyncpg.connect(proxy.url, timeout=10)
    yield connected
    connected.terminate()


async def test_without_a_fault_everything_passes_and_is_listed(
    proxy: FaultProxy, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    proxy.arm(None)
    assert await connection.execute("SELECT 1") == "SELECT 1"
    assert [message.partition(" 1 ")[2] for message in proxy.trace] == ["Q SELECT 1", "T", "D", "C SELECT 1", "Z"]
    assert proxy.fired is None


async def test_a_cut_ends_the_connection_at_its_message(
    proxy: FaultProxy, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    proxy.arm(Fault(Kind.CUT, Side.BACKEND, 3))
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await connection.execute("SELECT 1")
    assert proxy.fired == "backend 1 C SELECT 1"
    assert connection.is_closed()


async def test_a_muted_connection_stays_open_and_forwards_nothing(
    proxy: FaultProxy, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    proxy.arm(Fault(Kind.MUTE, Side.FRONTEND, 1, frozenset("Q")))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.execute("SELECT 1"), 0.2)
    assert proxy.fired == "frontend 1 Q SELECT 1"


async def test_a_stalled_message_arrives_later(
    proxy: FaultProxy, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    proxy.arm(Fault(Kind.STALL, Side.BACKEND, 1, frozenset("Z")))
    started = asyncio.get_running_loop().time()
    assert await connection.execute("SELECT 1") == "SELECT 1"
    assert asyncio.get_running_loop().time() - started >= STALL_SECONDS


async def test_a_message_is_forwarded_after_its_callback(
    proxy: FaultProxy, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    called = []

    async def on_fault() -> None:
        called.append(proxy.fired)

    proxy.arm(Fault(Kind.CALL, Side.BACKEND, 2, frozenset("Z")), on_fault)
    await connection.execute("SELECT 1")
    assert called == []
    await connection.execute("SELECT 2")
    assert called == ["backend 1 Z"]
