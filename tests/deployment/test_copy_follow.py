"""`roomcast copy --follow` moves a server that is in use to the other kind of database, and back.

Clients send and stream all the time. The copy is killed once. At the end every acknowledged message is there once, and
every stream has received every event once. With ROOMCAST_TEST_CHAOS=full there are a million messages.
"""

import asyncio
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from websockets.exceptions import WebSocketException

from bench.filling import fill, open_database
from roomcast.core import migrations
from roomcast.core.ids import local_id
from tests import servers
from tests.api_clients import ROOM_EVENTS, GraphQLErrors, Json, UserClient, sign_up
from tests.maintenance.conftest import seqs
from tests.process import SERVE, Process

pytestmark = pytest.mark.deployment

FULL = os.environ.get("ROOMCAST_TEST_CHAOS") == "full"
OLD_MESSAGES = 1_000_000 if FULL else 10_000
COPY_SECONDS = 1_800 if FULL else 120
SENDERS, READERS = 4, 4
FREEZE_SECONDS = 5.0


class Crowd:
    """Clients of one room that follow it from one server to the next. `server` is where they connect now."""

    def __init__(self, server: Process, ann: UserClient, room_id: str) -> None:
        self.server, self.ann, self.room_id = server, ann, room_id
        self.acknowledged: list[str] = []
        self.refusals: list[Json] = []
        self.received: list[list[int]] = [[] for _ in range(READERS)]
        self.is_ending = False

    def client(self) -> UserClient:
        signed_in = {"tokens": {"accessToken": self.ann.token, "refreshToken": ""}, "user": {"id": self.ann.id}}
        return UserClient(self.server.app, "ann", signed_in)

    async def send(self) -> None:
        """Send messages one after another, each until it is acknowledged."""
        while not self.is_ending:
            message_id = str(uuid.uuid4())
            while not await self._is_acknowledged(message_id):  # noqa: ASYNC110 (a client polls)
                await asyncio.sleep(0.05)
            self.acknowledged.append(message_id)

    async def _is_acknowledged(self, message_id: str) -> bool:
        try:
            async with self.client() as client:
                payload = await client.send(self.room_id, message_id, clientMessageId=message_id)
        except httpx.TransportError:
            return False
        except GraphQLErrors as errors:
            self.refusals += [error["extensions"] for error in errors.errors]
            return False
        assert payload["errors"] == []
        return True

    async def read(self, seen: list[int]) -> None:
        """Follow the room's events from the end of the log, with the last cursor after each disconnect."""
        cursor = None
        while True:
            with suppress(OSError, WebSocketException, TimeoutError, AssertionError, httpx.TransportError):
                async with self.client() as client, client.connect() as connection:
                    subscription = await connection.subscribe(ROOM_EVENTS, roomId=self.room_id, after=cursor)
                    while True:
                        event = await subscription.next_event()
                        if event["__typename"] == "StreamReady":
                            assert event["recovered"]
                        else:
                            seen.append(event["message"]["seq"])
                        cursor = event["cursor"]
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(params=["sqlite to postgresql", "postgresql to sqlite"])
async def urls(
    request: pytest.FixtureRequest, postgres_server: servers.Server, tmp_path: Path
) -> AsyncIterator[tuple[str, str]]:
    """The addresses of a migrated database of one kind, and of an empty one of the other."""
    postgres = await servers.create_database(postgres_server.url, f"follow_{uuid.uuid4().hex}")
    found = (f"sqlite:///{tmp_path / 'roomcast.db'}", postgres)
    source, target = found if request.param.startswith("sqlite") else found[::-1]
    await migrations.upgrade(source)
    yield source, target
    await servers.drop_database(postgres_server.url, postgres.rpartition("/")[2])


async def copy(source: str, target: str, folder: Path, *, until: bytes | None = None) -> str:
    """Run the command; kill it after it has printed `until`. Returns what it printed."""
    command = [sys.executable, "-c", SERVE, "copy", "--follow", "--from", source, "--to", target]
    process = await asyncio.create_subprocess_exec(
        *command, stderr=asyncio.subprocess.PIPE, cwd=folder, env={"ROOMCAST_DATA_DIR": str(folder / "data")} | PATHS
    )
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(COPY_SECONDS):
        while line := await process.stderr.readline():
            said += line
            if until is not None and until in line:
                process.kill()
        assert (await process.wait() == 0) == (until is None), said.decode()
    return said.decode()


PATHS = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}


async def test_clients_follow_a_copy_and_lose_nothing(urls: tuple[str, str], tmp_path: Path) -> None:
    source, target = urls
    shared: dict[str, Any] = {"data_dir": tmp_path / "data"}
    old, new = Process(source, tmp_path / "old", **shared), Process(target, tmp_path / "new", **shared)
    try:
        await old.start()
        async with await sign_up(old.app, "ann") as ann:
            room_id = await ann.create_room("den")
        async with open_database(source) as db:
            await fill(db, _uuid("room", room_id), _uuid("user", ann.id), OLD_MESSAGES, findable=True)
        crowd = Crowd(old, ann, room_id)
        said, log = await _move(crowd, new, urls, tmp_path)
    finally:
        await old.stop()
        await new.stop()
    frozen = re.search(r"locked for (\d+\.\d+) s", said)
    assert frozen is not None
    assert float(frozen[1]) < FREEZE_SECONDS
    assert log == list(range(log[0], log[0] + len(log)))
    assert len(log) == OLD_MESSAGES + len(crowd.acknowledged)
    assert all(refusal["retryable"] for refusal in crowd.refusals)
    for seen in crowd.received:
        assert seen == list(range(seen[0], log[-1] + 1))


async def _move(crowd: Crowd, new: Process, urls: tuple[str, str], folder: Path) -> tuple[str, list[int]]:
    """Move the clients from their server to `new`. Returns what the copy printed, and the seqs of all messages."""
    old = crowd.server
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(crowd.read(seen)) for seen in crowd.received]
        senders = [group.create_task(crowd.send()) for _ in range(SENDERS)]
        await _more(crowd, 20)
        await copy(*urls, folder, until=b"copying")
        await _more(crowd, 20)
        said = await copy(*urls, folder)
        assert await old.health() == "down"
        await _refused(crowd)
        await new.start()
        crowd.server = new
        await old.stop()
        await _more(crowd, 20)
        crowd.is_ending = True
        await asyncio.wait(senders)
        [(_, log)] = (await seqs(urls[1])).items()
        await _until_received(crowd, log[-1])
        for reader in readers:
            reader.cancel()
    return said, log


async def _more(crowd: Crowd, count: int) -> None:
    wanted = len(crowd.acknowledged) + count
    async with asyncio.timeout(60):
        while len(crowd.acknowledged) < wanted:  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.05)


async def _refused(crowd: Crowd) -> None:
    async with asyncio.timeout(20):
        while not crowd.refusals:  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.05)


async def _until_received(crowd: Crowd, seq: int) -> None:
    async with asyncio.timeout(30):
        while any(seen[-1] < seq for seen in crowd.received):  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.05)


def _uuid(kind: Any, text: str) -> UUID:
    found = local_id(kind, text)
    assert found is not None
    return found
