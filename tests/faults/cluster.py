"""Two server processes on their own PostgreSQL and Redis, connected through proxies that can hold back bytes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from roomcast.core import migrations
from tests import servers
from tests.children import Scratch, free_port, hand_over, run
from tests.faults.proxy import Side
from tests.process import Process

READY_SECONDS = 90.0


class HeldLink:
    """A TCP proxy that can hold back the bytes of each direction and forward them later."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.flows = {side: asyncio.Event() for side in Side}
        for event in self.flows.values():
            event.set()
        self.is_down = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HeldLink"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        parts = urlsplit(self.target)
        account, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{account}{at}127.0.0.1:{self.port}").geturl()
        try:
            yield self
        finally:
            server.close()
            self.cut_all()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    @contextmanager
    def holding(self, *sides: Side) -> Iterator[None]:
        for side in sides:
            self.flows[side].clear()
        try:
            yield
        finally:
            for side in sides:
                self.flows[side].set()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Cut all connections, and refuse new ones while the block runs."""
        self.is_down = True
        self.cut_all()
        try:
            yield
        finally:
            self.is_down = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self.target)
        try:
            if self.is_down:
                raise ConnectionRefusedError
            server_reader, server_writer = await asyncio.open_connection(parts.hostname, parts.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        for side, source, sink in ((Side.FRONTEND, reader, server_writer), (Side.BACKEND, server_reader, writer)):
            task = asyncio.create_task(self._forward(side, source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, side: Side, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                await self.flows[side].wait()
                sink.write(data)
        sink.close()
        self._writers.discard(sink)


@dataclass
class Cluster:
    postgres: servers.Server
    redis: servers.Server
    processes: list[Process]
    database_links: list[HeldLink]
    redis_links: list[HeldLink]
    database_url: str
    """The address of the database without the links. After a promotion, that of the new server."""
    stack: AsyncExitStack
    """Closed with the cluster."""

    async def ready(self) -> None:
        await asyncio.gather(*(process.until_health("ok", seconds=READY_SECONDS) for process in self.processes))

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows from the database, without the links."""
        return await servers.fetch(self.database_url, sql, *arguments)


@asynccontextmanager
async def open_cluster(folder: Path) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(closing(servers.start_postgres("PATH", "wheel")))
        redis = stack.enter_context(closing(servers.start_redis("PATH", "wheel")))
        url = await servers.create_database(postgres.url, "roomcast")
        await migrations.upgrade(url)
        links = [await stack.enter_async_context(HeldLink(to).running()) for to in (url, url, redis.url, redis.url)]
        processes = [
            Process(database.url, folder / str(number), bus_url=bus.url, push="off")
            for number, (database, bus) in enumerate(zip(links[:2], links[2:], strict=True))
        ]
        for process in processes:
            stack.push_async_callback(process.stop)
            await process.start()
        yield Cluster(postgres, redis, processes, links[:2], links[2:], url, stack)


# ------------------------------------------------------------------ processes of a server


def process_tree(pid: int) -> list[int]:
    """The ids of a process and its children, the process first."""
    children = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and parent(path) == pid]
    return [pid, *sorted(children)]


def parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # the process has ended meanwhile
        return 0


def server_pid(server: servers.Server) -> int:
    assert server._process is not None
    return server._process.pid


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    """Freeze the process and its children (SIGSTOP) while the block runs."""
    pids = process_tree(pid)
    for each in pids:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in pids:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


# ------------------------------------------------------------------ a replica


@asynccontextmanager
async def replica_of(primary: servers.Server, link: HeldLink) -> AsyncIterator[servers.Server]:
    """An asynchronous streaming replica of the server, which receives its log through the link."""
    with closing(await asyncio.to_thread(start_replica, primary, link.port)) as server:
        yield server


def start_replica(primary: servers.Server, primary_port: int) -> servers.Server:
    """Copy the server, and start an asynchronous streaming replica that connects to this port. It has to be closed."""
    assert primary._launch is not None
    program = Path(primary._launch.command[0])
    scratch, port = Scratch(), free_port()
    source = f"-h 127.0.0.1 -p {primary_port} -U postgres"
    done = run(f"{program.parent}/pg_basebackup {source} -R -c fast -D {scratch.path}/data".split(), scratch.path)
    assert done.returncode == 0, done.stderr
    hand_over(scratch.path / "data")
    values = {"program": program, "folder": program.parent, "scratch": scratch.path, "port": port}
    launch = servers.Launch(servers.POSTGRES, servers.fill_in(servers.POSTGRES.command, values), port, scratch)
    server = servers.Server(servers.POSTGRES.url.format(**values), "replica", launch)
    server.start()
    return server
