"""PostgreSQL or a server process is frozen for some seconds: no acknowledged message is lost, no read is stale."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from roomcast.core import migrations
from tests import servers
from tests.api_clients import SEND, GraphQLErrors, SocketClient, UserClient, sign_up
from tests.delivery.resuming_clients import full_or_short
from tests.process import Process, processes
from tests.storage.conftest import stored
from tests.storage.proxy import PostgresProxy

pytestmark = pytest.mark.chaos

ROOMS = 8


@pytest.fixture
def postgres() -> Iterator[servers.Server]:
    """A separate server, which the test freezes."""
    try:
        server = servers.start_postgres("PATH", "wheel")
    except servers.Unavailable as reason:
        servers.skip(reason)
    with closing(server):
        yield server


@pytest.fixture
async def database(postgres: servers.Server) -> str:
    url = await servers.create_database(postgres.url, "roomcast")
    await migrations.upgrade(url)
    return url


@contextmanager
def frozen(server: servers.Server) -> Iterator[None]:
    """Freeze the postmaster and all its children (SIGSTOP)."""
    assert server._process is not None
    parent = server._process.pid
    children = [pid for pid in _processes() if _parent_of(pid) == parent]
    for pid in (parent, *children):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in (parent, *children):
            os.kill(pid, signal.SIGCONT)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # the process has ended
        return 0


class Sender:
    """Messages of one user in several rooms. `acknowledged`: the bodies that the server confirmed, by room."""

    def __init__(self, person: UserClient, rooms: list[str]) -> None:
        self._person = person
        self.acknowledged: dict[str, list[str]] = {room: [] for room in rooms}

    async def send(self, room: str, body: str) -> bool:
        try:
            sent = await self._person.send(room, body)
        except (GraphQLErrors, httpx.TransportError):  # it may or may not be stored
            return False
        assert sent["errors"] == []
        self.acknowledged[room].append(body)
        return True

    async def send_everywhere(self, body: str) -> bool:
        return all(await asyncio.gather(*(self.send(room, f"{body} in {room}") for room in self.acknowledged)))


async def start_and_stop(connection: SocketClient, room: str, count: int) -> None:
    """Start operations and stop each a few milliseconds later."""
    for number in range(count):
        operation = await connection.subscribe(SEND, input={"roomId": room, "body": f"stopped {number}"})
        await asyncio.sleep(0.005 * (number % 5))
        await operation.stop()


async def assert_all_acknowledged_stored(database: str, sender: Sender) -> None:
    for room, acknowledged in sender.acknowledged.items():
        found = await stored(database, room)
        assert set(acknowledged) <= set(found)
        retried = {f"after in {room}"}
        assert all(found.count(body) == 1 for body in found if body not in retried)


async def test_a_frozen_database_loses_nothing(database: str, postgres: servers.Server, tmp_path: Path) -> None:
    async with (
        processes(1, database, tmp_path) as [process],
        await sign_up(process.app, "ann") as ann,
        ann.connect() as connection,
    ):
        rooms = [await ann.create_room(f"room {number}") for number in range(ROOMS)]
        sender = Sender(ann, rooms)
        assert await sender.send_everywhere("before")
        stopping = asyncio.create_task(start_and_stop(connection, rooms[0], full_or_short(300, 300)))
        await asyncio.sleep(0.3)
        with frozen(postgres):
            await process.until_health("down")
            sending = [asyncio.create_task(sender.send_everywhere(f"while frozen {number}")) for number in range(3)]
            await asyncio.sleep(full_or_short(22, 6))
            assert await process.health() == "down"
        async with asyncio.timeout(5):
            while not await sender.send_everywhere("after"):  # noqa: ASYNC110 (the server has to be polled)
                await asyncio.sleep(0.1)
        await process.until_health("ok")
        await asyncio.gather(stopping, *sending)
        for number in range(5):
            assert await sender.send_everywhere(f"long after {number}")
        await assert_all_acknowledged_stored(database, sender)
        assert "inside a transaction" not in process.log_text()


async def test_a_process_frozen_inside_a_transaction_stops_only_its_rooms(
    database: str, postgres: servers.Server, tmp_path: Path
) -> None:
    async with (
        PostgresProxy(database) as proxy,
        processes(1, proxy.url, tmp_path / "frozen", bus_url=database) as [first],
        processes(1, database, tmp_path / "healthy", bus_url=database) as [second],
        await sign_up(first.app, "ann") as ann,
    ):
        stuck, *rooms = [await ann.create_room(f"room {number}") for number in range(ROOMS)]
        fault = proxy.withhold(b"COMMIT;")  # the transaction keeps its locks
        sending = asyncio.create_task(ann.send(stuck, "unknown"))
        await fault.reached.wait()
        first.signal(signal.SIGSTOP)
        try:
            async with client_at(ann, second) as person:
                await assert_other_rooms_work(person, second, rooms, stuck)
        finally:
            first.signal(signal.SIGCONT)
            fault.release()
        await asyncio.gather(sending, return_exceptions=True)
        assert set(await stored(database, stuck)) <= {"unknown", f"free again in {stuck}"}


def client_at(person: UserClient, process: Process) -> UserClient:
    """A client of the same user at another process."""
    signed_in = {
        "tokens": {"accessToken": person.token, "refreshToken": person.refresh_token},
        "user": {"id": person.id},
    }
    return UserClient(process.app, person.name, signed_in)


async def assert_other_rooms_work(person: UserClient, process: Process, rooms: list[str], stuck: str) -> None:
    sender = Sender(person, rooms)
    waiting = [asyncio.create_task(Sender(person, [stuck]).send_everywhere(f"late {number}")) for number in range(5)]
    for number in range(10):
        async with asyncio.timeout(5):
            assert await sender.send_everywhere(f"meanwhile {number}")
        assert await process.health() == "ok"
    await asyncio.gather(*waiting)
    async with asyncio.timeout(20):  # PostgreSQL ends the idle transaction after ten
        while not await Sender(person, [stuck]).send_everywhere("free again"):  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.5)
