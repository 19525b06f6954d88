"""Three server processes on their own PostgreSQL and Redis behind nginx, and clients that reach them through nginx."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncpg

from roomcast.core import migrations
from tests import servers
from tests.api_clients import UserClient, sign_up
from tests.delivery.resuming_clients import FULL
from tests.deployment import nginx
from tests.faults.chatting import (
    Listener,
    Setup,
    have_all,
    listeners,
    send_on,
    send_over_socket,
    stop,
    stored,
)
from tests.faults.history import History, Result, violations
from tests.process import Process
from tests.running_app import RunningApp

MAX_AGE_SECONDS = 60 if FULL else 15
"""Sockets are closed at this age, so all through the tests."""

CATCH_UP_SECONDS = 90.0
"""Within this time after a repair every client sends and receives again."""


@dataclass(frozen=True)
class Entry:
    """The address of nginx."""

    url: str

    @property
    def ws_url(self) -> str:
        return f"{self.url.replace('http:', 'ws:')}/graphql"


@dataclass
class Installation:
    postgres: servers.Server
    redis: servers.Server
    nginx: servers.Server
    processes: list[Process]
    database_url: str

    @property
    def entry(self) -> Entry:
        return Entry(self.nginx.url)

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        return await servers.fetch(self.database_url, sql, *arguments)


@asynccontextmanager
async def open_installation(folder: Path, former: Path | None = None) -> AsyncIterator[Installation]:
    """Start everything, with three processes of this release. With `former`, the source of the former release, the
    database has its revision, the first two processes are of that release, and the third is not started."""
    async with AsyncExitStack() as stack:
        try:
            postgres = stack.enter_context(closing(servers.start_postgres("PATH", "wheel")))
            redis = stack.enter_context(closing(servers.start_redis("PATH", "wheel")))
        except servers.Unavailable as reason:
            servers.skip(reason)
        url = await servers.create_database(postgres.url, "roomcast")
        settings: dict[str, Any] = {"bus_url": redis.url, "push": "off", "trusted_proxies": "127.0.0.1"}
        if not former:  # which may not know this setting
            settings["max_connection_age_seconds"] = MAX_AGE_SECONDS
        processes = [Process(url, folder / str(number), **settings) for number in range(3)]
        started = processes[:2] if former else processes
        for process in processes:
            stack.push_async_callback(process.stop)
        if former:
            for process in started:
                process.run_source(former / "src")
            await started[0].run("migrate")
        else:
            await migrations.upgrade(url)
        await asyncio.gather(*(process.start() for process in started))
        proxy = stack.enter_context(closing(nginx.start([process.url for process in processes])))
        yield Installation(postgres, redis, proxy, processes, url)


# ------------------------------------------------------------------ clients


@dataclass
class Room:
    """A room with its clients, and what they have sent and received."""

    setup: Setup
    history: History
    listening: list[Listener]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def waiting(self, since: int) -> list[str]:
        """The clients that have received no message that was sent, and acknowledged, after the first `since`."""
        newer = {send.body for send in self.history.sends[since:] if send.result is Result.ACKNOWLEDGED}
        return [each.name for each in self.history.deliveries if newer.isdisjoint(each.shown_at)]


@dataclass
class Load:
    """All rooms. Senders send until `stop_sending`; listeners listen until the end."""

    installation: Installation
    rooms: list[Room]
    sending: list[asyncio.Task[None]]
    following: list[asyncio.Task[None]]
    began_at: float = 0.0
    """When all clients were connected."""

    async def until_progress(self) -> None:
        """Wait until every client has received something that was sent from now on."""
        marks = [(room, len(room.history.sends)) for room in self.rooms]
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while waiting := {room.setup.room_id: names for room, since in marks if (names := room.waiting(since))}:
            self.check_clients()
            assert time.monotonic() < deadline, f"nothing was received by {waiting}"
            await asyncio.sleep(0.05)

    def check_clients(self) -> None:
        """Raise what a client has raised."""
        for task in (*self.sending, *self.following):
            if task.done():
                task.result()

    async def violations(self) -> list[str]:
        """Stop sending, and compare what every client has received with what is stored."""
        self.check_clients()
        await stop(self.sending)
        found = []
        for room in self.rooms:
            log = await stored(self.installation.fetch, room.setup.room_id)
            with suppress(TimeoutError):
                async with asyncio.timeout(CATCH_UP_SECONDS):
                    while not all(have_all(each, log) for each in room.listening):  # noqa: ASYNC110 (it is polled)
                        await asyncio.sleep(0.05)
            found += violations(room.history, log)
            # Each sender repeats a send until it is acknowledged, so only its last one may be unknown.
            unknown = [send.body for send in room.history.sends if send.result is Result.UNKNOWN]
            found += [f"never acknowledged: {unknown}"] if len(unknown) > SENDERS else []
        return found

    def report(self) -> str:
        sends, delays = [send for room in self.rooms for send in room.history.sends], self.delays
        repeated = Counter(send.body.rstrip("0123456789.") for send in sends if send.tries > 1)
        p50, p99, most = percentile(delays, 50), percentile(delays, 99), delays[-1]
        return (
            f"{len(sends)} sends, repeated {dict(repeated)}; {len(delays)} deliveries, from the first try to a client "
            f"p50 {p50:.3f} s, p99 {p99:.3f} s, at most {most:.3f} s"
        )

    @property
    def delays(self) -> list[float]:
        """The seconds from the first try of each send to its arrival at each client, in rising order, without the sends
        from before all clients were connected."""
        return sorted(delay for room in self.rooms for delay in room.history.delays(self.began_at))


SENDERS = 2
"""In each room: one over HTTP, one over a socket."""


@asynccontextmanager
async def load(installation: Installation, rooms: int, sockets: int) -> AsyncIterator[Load]:
    """Clients of one user that send and listen through nginx, `sockets` in all, spread over the rooms."""
    async with await sign_up(cast(RunningApp, installation.entry), f"user_{secrets.token_hex(4)}") as user:
        opened = [await _open_room(installation, user, sockets // rooms - 1) for _ in range(rooms)]
        sending = [
            asyncio.create_task(task)
            for number, room in enumerate(opened)
            for task in (
                send_on(room.setup, room.history, f"http{number}", keyed=True),
                send_over_socket(room.setup, room.history, f"socket{number}"),
            )
        ]
        following = [asyncio.create_task(listener.run()) for room in opened for listener in room.listening]
        started = Load(installation, opened, sending, following)
        try:
            await started.until_progress()
            started.began_at = time.monotonic()
            yield started
        finally:
            for task in (*sending, *following):
                task.cancel()
            await asyncio.gather(*sending, *following, return_exceptions=True)


async def _open_room(installation: Installation, person: UserClient, count: int) -> Room:
    room_id = await person.create_room("room", visibility="PRIVATE")
    page = await person.execute("query Q($id: ID!) { room(id: $id) { streamCursor } }", id=room_id)
    assert person.token is not None
    setup = Setup([installation.entry], person.token, room_id, page["room"]["streamCursor"])
    history = History()
    return Room(setup, history, listeners(setup, history, count))


def percentile(rising: Sequence[float], percent: float) -> float:
    return rising[min(len(rising) - 1, int(len(rising) * percent / 100))]
