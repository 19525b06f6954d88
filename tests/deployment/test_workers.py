"""`roomcast serve --workers`, `uvicorn --workers`, and how they stop."""

import asyncio
import os
import signal
import socket
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from tests import servers
from tests.api_clients import ROOM_EVENTS, UserClient, sign_up
from tests.process import Process

UVICORN = [sys.executable, "-m", "uvicorn", "roomcast.asgi:app"]
WORKERS = 2


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with servers.redis() as server:
        yield server.url


@pytest_asyncio.fixture
async def database(postgres_server: servers.Server, postgres_template: str) -> AsyncIterator[str]:
    name = f"workers_{uuid.uuid4().hex}"
    yield await servers.create_database(postgres_server.url, name, postgres_template)
    await servers.drop_database(postgres_server.url, name)


@pytest_asyncio.fixture
async def server(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """`roomcast serve` with two workers, not yet started."""
    process = Process(database, tmp_path, bus_url=redis_url, workers=WORKERS, drain_seconds=3, metrics_token="m" * 16)
    yield process
    await process.stop()


async def scrape(server: Process) -> dict[str, float]:
    """The values of one scrape, by name and labels."""
    async with httpx.AsyncClient() as http:  # a new connection: any of the workers may take it
        answer = await http.get(f"{server.url}/metrics", headers={"authorization": f"Bearer {'m' * 16}"}, timeout=10)
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def until_all_serve(server: Process, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while True:
            shown = await scrape(server)
            if all(shown.get(f"roomcast_worker_up {number}") for number in range(WORKERS)):
                return
            await asyncio.sleep(0.1)


def workers_of(server: Process) -> set[int]:
    """The process ids of its workers."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return {int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


async def until_ended(pids: set[int], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while any(map(exists, pids)):  # noqa: ASYNC110 (other processes have to be polled)
            await asyncio.sleep(0.02)


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def is_port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@asynccontextmanager
async def sending(person: UserClient, room_id: str) -> AsyncIterator[Counter[str]]:
    """Send messages during the block, each on a new connection, and count the outcomes."""
    outcomes: Counter[str] = Counter()
    person.http.headers["connection"] = "close"

    async def send() -> None:
        while True:
            try:
                await person.send(room_id, "word")
                outcomes["acknowledged"] += 1
            except httpx.TransportError:
                outcomes["failed"] += 1
            await asyncio.sleep(0.02)

    task = asyncio.create_task(send())
    try:
        yield outcomes
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_workers_are_replaced_show_one_count_and_do_not_outlive_their_supervisor(server: Process) -> None:
    await server.start()
    await until_all_serve(server)
    first = workers_of(server)
    os.kill(min(first), signal.SIGKILL)
    await until_ended({min(first)}, 10)
    await until_all_serve(server)
    assert workers_of(server) > first - {min(first)}
    async with await sign_up(server.app, "ann") as ann:
        room_id = await ann.create_room("den")
        async with sending(ann, room_id) as outcomes:
            async with asyncio.timeout(30):
                while outcomes["acknowledged"] < 20:  # noqa: ASYNC110 (there is no event for it)
                    await asyncio.sleep(0.01)
    scrapes = [await scrape(server) for _ in range(6)]
    shown = [{name: n for name, n in each.items() if name.startswith("roomcast_sends_total")} for each in scrapes]
    assert shown == [shown[0]] * 6
    assert len(shown[0]) == WORKERS
    assert sum(shown[0].values()) in (outcomes["acknowledged"], outcomes["acknowledged"] + 1)  # one was cancelled
    workers = workers_of(server)
    await server.kill()
    await until_ended(workers, 5)  # within a second, on an idle machine
    assert is_port_free(server.port)


async def test_a_rolling_restart_loses_nothing_and_a_stop_drains_all_workers(server: Process) -> None:
    await server.start()
    await until_all_serve(server)
    before = workers_of(server)
    async with await sign_up(server.app, "ann") as ann:
        room_id = await ann.create_room("den")
        async with sending(ann, room_id) as outcomes:
            server.signal(signal.SIGHUP)
            async with asyncio.timeout(90):
                while workers_of(server) & before:
                    assert await server.health() == "ok"
                    await asyncio.sleep(0.1)
            await until_all_serve(server)
        assert outcomes["acknowledged"] > 0
        assert outcomes["failed"] == 0
        await check_drain(server, ann, room_id, [server.pid, *workers_of(server)])  # as systemd does
    assert await server.wait_for_end() == 0
    assert is_port_free(server.port)


async def check_drain(server: Process, person: UserClient, room_id: str, pids: Sequence[int]) -> None:
    """SIGTERM to these processes: readiness is red, everything goes on for a while, then the socket is closed."""
    async with person.connect() as connection:
        stream = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await stream.wait_until_ready()
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        await server.until_health("stopping")
        await person.send(room_id, "while the server drains")
        assert (await stream.next_event())["message"]["body"] == "while the server drains"
        assert (await connection.closed())[0] == 1012


async def test_the_supervisor_gives_up_when_no_worker_can_start(database: str, redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "documents.json").write_text("[]")
    server = Process(
        database, tmp_path, bus_url=redis_url, workers=WORKERS, trusted_documents=tmp_path / "documents.json"
    )
    server.spawn()
    assert await server.wait_for_end(60) == 3
    assert "ROOMCAST_TRUSTED_DOCUMENTS: " in server.log_text()
    assert "no worker can start" in server.log_text()


# ------------------------------------------------------------------ one process, and uvicorn


async def test_uvicorn_with_workers_drains(database: str, redis_url: str, tmp_path: Path) -> None:
    server = Process(database, tmp_path, bus_url=redis_url, drain_seconds=3)
    options = ["--timeout-worker-healthcheck", "60", "--timeout-graceful-shutdown", "15"]
    server.command = [*UVICORN, "--workers", str(WORKERS), "--port", str(server.port), *options]
    await server.start()
    async with await sign_up(server.app, "ann") as ann:
        room_id = await ann.create_room("den")
        await check_drain(server, ann, room_id, [server.pid])
    assert await server.wait_for_end() == 0


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    server = Process(f"sqlite:///{tmp_path}/chat.db", tmp_path, drain_seconds=600)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        server.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        await server.start()
        assert systemd.recv(100) == b"READY=1"
        server.signal(signal.SIGTERM)
        await server.until_health("stopping")
        assert systemd.recv(100) == b"STOPPING=1"
        server.signal(signal.SIGTERM)
        await server.wait_for_end(10)


async def test_a_stop_with_mute_clients_is_short(tmp_path: Path) -> None:
    """Clients that never answer a close frame. Docker kills after ten seconds; 5,000 with ROOMCAST_TEST_CHAOS=full."""
    count = 5_000 if os.environ.get("ROOMCAST_TEST_CHAOS") == "full" else 300
    server = Process(f"sqlite:///{tmp_path}/chat.db", tmp_path)
    await server.start()
    async with await sign_up(server.app, "ann") as ann:
        streaming = asyncio.create_task(stream_over_http(ann, await ann.create_room("den")))
    mute = [await mute_socket(server) for _ in range(count)]
    begun = asyncio.get_running_loop().time()
    server.signal(signal.SIGTERM)
    await server.wait_for_end(60)
    seconds = asyncio.get_running_loop().time() - begun
    print(f"stopped after {seconds:.1f} s with {count} mute clients")  # noqa: T201
    codes = Counter([await close_code(reader) for reader, _ in mute])
    assert codes == {1012: count}
    assert seconds < 8
    assert (await streaming).endswith("event: complete\ndata: \n\n")
    for _, writer in mute:
        writer.close()


async def stream_over_http(person: UserClient, room_id: str) -> str:
    """The text of a stream until the server ends it."""
    async with httpx.AsyncClient(base_url=person.app.url, timeout=60) as http:
        headers = {"accept": "text/event-stream", "authorization": f"Bearer {person.token}"}
        request = {"query": ROOM_EVENTS, "variables": {"roomId": room_id}}
        return (await http.post("/graphql", json=request, headers=headers)).text


HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


async def mute_socket(server: Process) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HANDSHAKE.encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    init = b'{"type":"connection_init"}'
    writer.write(bytes((0x81, 0x80 | len(init), 0, 0, 0, 0)) + init)  # masked with zeros
    assert b"connection_ack" in await reader.read(1000)
    return reader, writer


async def close_code(reader: asyncio.StreamReader) -> int:
    """The code of the last frame, which is a close frame with a reason."""
    frames = await reader.read()
    code = frames.index(b"\x88") + 2
    return int.from_bytes(frames[code : code + 2])
