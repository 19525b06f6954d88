"""Two real standbys answer pages and searches: nobody sees less than they wrote or saw, whatever the standbys do."""

import asyncio
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from roomcast.core import event_log, migrations
from roomcast.core.replicas import CHECK_SECONDS, Replicas
from roomcast.doctor import run_checks
from tests import servers
from tests.api_clients import ROOM_EVENTS, Json, UserClient, sign_up
from tests.faults.cluster import frozen, server_pid, start_replica
from tests.running_app import RunningApp, open_app, settings_for

CHANGES = 400 if os.environ.get("ROOMCAST_TEST_CHAOS") == "full" else 20
"""Changes that each client makes."""

PAGE = (
    "query Page($roomId: ID!) { messages(roomId: $roomId, last: 100) "
    "{ nodes { id kind body deletedAt pinnedAt author { username } reactions { emoji count } } } }"
)
SEARCH = "query Find($query: String!) { searchMessages(query: $query, first: 5) { nodes { id body } } }"
EDIT = "mutation Edit($input: EditMessageInput!) { editMessage(input: $input) { errors { code } } }"
DELETE = "mutation Delete($input: DeleteMessageInput!) { deleteMessage(input: $input) { errors { code } } }"
REACT = "mutation React($input: AddReactionInput!) { addReaction(input: $input) { errors { code } } }"
PIN = "mutation Pin($input: PinMessageInput!) { pinMessage(input: $input) { errors { code } } }"


@dataclass
class Standbys:
    """A primary with two standbys. `url` and `replica_urls` lead to one database."""

    url: str
    servers: list[servers.Server]

    @property
    def replica_urls(self) -> tuple[str, ...]:
        name = self.url.rpartition("/")[2]
        return tuple(f"{server.url.rpartition('/')[0]}/{name}" for server in self.servers)

    async def execute(self, number: int, statement: str) -> None:
        """Run a statement on one of the standbys."""
        connection = await asyncpg.connect(self.servers[number].url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[servers.Server]]:
    """A primary and two standbys."""
    with ExitStack() as stack:
        primary = stack.enter_context(closing(servers.start_postgres("PATH", "wheel")))
        port = urlsplit(primary.url).port
        assert port is not None
        yield [primary, *(stack.enter_context(closing(start_replica(primary, port))) for _ in range(2))]


@pytest_asyncio.fixture
async def standbys(cluster: list[servers.Server]) -> Standbys:
    url = await servers.create_database(cluster[0].url, f"roomcast_{uuid.uuid4().hex}")
    await migrations.upgrade(url)
    found = Standbys(url, cluster[1:])
    for number in range(2):
        await found.execute(number, "ALTER SYSTEM RESET recovery_min_apply_delay")
        await found.execute(number, "SELECT pg_reload_conf(), pg_wal_replay_resume()")
    return found


@asynccontextmanager
async def apps(standbys: Standbys, folder: Path, count: int = 1) -> AsyncIterator[list[RunningApp]]:
    async with AsyncExitStack() as stack:
        changes = {"bus_url": standbys.url, "database_read_urls": standbys.replica_urls, "rate_limits": "off"}
        made = [settings_for(standbys.url, folder, push="off", **changes) for _ in range(count)]
        yield [await stack.enter_async_context(open_app(settings)) for settings in made]


def replicas_of(app: RunningApp) -> Replicas:
    found = app.roomcast.backend.replicas
    assert found is not None
    return found


async def until_usable(app: RunningApp, *usable: bool) -> None:
    async with asyncio.timeout(20):
        while [each.is_usable for each in replicas_of(app).all] != list(usable):  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(0.02)


# ------------------------------------------------------------------ lagging


class Writer:
    """A client that changes a room and then reads it, by HTTP or by its socket. `expected`: what it knows of messages
    that only it changes."""

    def __init__(self, client: UserClient, room: str, socket: Any, chance: random.Random) -> None:
        self._client, self._room, self._socket, self._chance = client, room, socket, chance
        self.expected: dict[str, Json] = {}

    async def change_and_read(self, number: int) -> None:
        word = f"{self._client.name}{number}x"
        kinds = ["send", "send", "edit", "react", "delete", *(["pin"] if self._client.name == "ann" else [])]
        kind = self._chance.choice(kinds)  # only ann may pin
        known = [id_ for id_, message in self.expected.items() if not message["deleted"]]
        id_ = self._chance.choice(known) if known else ""
        if kind == "send" or not id_:
            id_ = (await self._client.send(self._room, word))["message"]["id"]
            self.expected[id_] = {"body": word, "deleted": False, "reacted": False, "pinned": False}
        else:
            changes: dict[str, tuple[str, Json, Json]] = {
                "edit": (EDIT, {"body": word}, {"body": word}),
                "react": (REACT, {"emoji": "👍"}, {"reacted": True}),
                "pin": (PIN, {}, {"pinned": True}),
                "delete": (DELETE, {}, {"body": None, "deleted": True, "reacted": False, "pinned": False}),
            }
            document, more, change = changes[kind]
            assert await self._client.mutate(document, messageId=id_, **more) == {"errors": []}
            self.expected[id_] |= change
        await self.check_page()
        if self.expected[id_]["body"] == word:
            found = await self.read(SEARCH, query=word)
            assert [node["id"] for node in found["searchMessages"]["nodes"]] == [id_], "the search shows less"

    async def check_page(self) -> None:
        page = (await self.read(PAGE, roomId=self._room))["messages"]["nodes"]
        shown = {
            node["id"]: {
                "body": node["body"],
                "deleted": node["deletedAt"] is not None,
                "reacted": node["reactions"] != [],
                "pinned": node["pinnedAt"] is not None,
            }
            for node in page
        }
        oldest = list(self.expected)[-40:]  # the page has the newest 100 of both clients
        assert {id_: shown.get(id_) for id_ in oldest} == {id_: self.expected[id_] for id_ in oldest}
        assert all(node["author"] for node in page if node["kind"] == "USER")

    async def read(self, document: str, **variables: Any) -> Json:
        if self._chance.random() < 0.5:
            return await self._client.execute(document, **variables)
        answer = await self._socket.execute(document, **variables)
        assert "errors" not in answer, answer
        return dict(answer["data"])


async def follow(client: UserClient, room: str, seen: list[str], is_ready: asyncio.Event) -> None:
    """Read a page after each event, which has to contain the message of the event. Sets `is_ready` once the stream has
    started: it has only later events."""
    async with client.connect() as socket:
        stream = await socket.subscribe(ROOM_EVENTS, roomId=room)
        while True:
            event = await stream.next_event()
            if event["__typename"] == "StreamReady":
                is_ready.set()
            if event["__typename"] == "MessageCreated":
                page = (await client.execute(PAGE, roomId=room))["messages"]["nodes"]
                assert event["message"]["id"] in {node["id"] for node in page}, "the page shows less than the stream"
                seen.append(event["message"]["id"])


async def vary_the_lag(standbys: Standbys, chance: random.Random) -> None:
    """One standby replays two seconds late; the other stops and goes on."""
    await standbys.execute(0, "ALTER SYSTEM SET recovery_min_apply_delay = '2s'")
    await standbys.execute(0, "SELECT pg_reload_conf()")
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        await standbys.execute(1, "SELECT pg_wal_replay_pause()")
        await asyncio.sleep(chance.uniform(0.01, 0.4))
        await standbys.execute(1, "SELECT pg_wal_replay_resume()")


async def test_nobody_sees_less_than_they_wrote_or_saw(standbys: Standbys, tmp_path: Path) -> None:
    chance, seen = random.Random(), list[str]()
    async with apps(standbys, tmp_path, 2) as (first, second), AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(await sign_up(app, name)) for app, name in ((first, "ann"), (second, "bob"))
        ]
        room = await clients[0].create_room("read from replicas")
        await clients[1].join(room)
        sockets = [await stack.enter_async_context(client.connect()) for client in clients]
        writers = [Writer(each, room, socket, chance) for each, socket in zip(clients, sockets, strict=True)]
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(vary_the_lag(standbys, chance))]
            starts = [asyncio.Event() for _ in clients]
            background += [
                tasks.create_task(follow(client, room, seen, is_ready))
                for client, is_ready in zip(clients, starts, strict=True)
            ]
            await asyncio.gather(*(is_ready.wait() for is_ready in starts))
            for number in range(CHANGES):
                await asyncio.gather(*(writer.change_and_read(number) for writer in writers))
            sent = {id_ for writer in writers for id_ in writer.expected}
            async with asyncio.timeout(20):
                while len(seen) < 2 * len(sent):  # noqa: ASYNC110 (there is no event for it)
                    await asyncio.sleep(0.05)
            for task in background:
                task.cancel()
        answered = [sum(each.stats.answered for each in replicas_of(app).all) for app in (first, second)]
        assert all(answered), "the replicas have answered nothing, so the test shows nothing"
        assert replicas_of(first).primary_reads + replicas_of(second).primary_reads > 0


# ------------------------------------------------------------------ failing


async def test_a_frozen_standby_costs_a_read_no_more_than_its_bound(standbys: Standbys, tmp_path: Path) -> None:
    async with apps(standbys, tmp_path) as [app], await sign_up(app, "ann") as ann:
        room = await ann.create_room("frozen")
        await ann.send_messages(room, "one")
        await until_usable(app, True, True)
        durations = []
        async with frozen(server_pid(standbys.servers[0])):
            for _ in range(30):
                begun = time.monotonic()
                page = (await ann.execute(PAGE, roomId=room))["messages"]["nodes"]
                durations.append(time.monotonic() - begun)
                assert [node["body"] for node in page] == ["one"]
            await until_usable(app, False, True)
        # The first read that meets it waits for the check and for the end of its transaction.
        assert sum(duration > CHECK_SECONDS for duration in durations) <= 2, durations
        assert max(durations) < 2 * CHECK_SECONDS + 1.0, durations
        await until_usable(app, True, True)


async def test_a_standby_of_an_older_epoch_is_left_out_until_it_has_the_new_one(
    standbys: Standbys, tmp_path: Path
) -> None:
    async with apps(standbys, tmp_path) as [app]:
        await until_usable(app, True, True)
        await standbys.execute(1, "SELECT pg_wal_replay_pause()")
        async with app.roomcast.db.work() as work:
            await event_log.begin_epoch(work.session)
        await until_usable(app, True, False)
        await standbys.execute(1, "SELECT pg_wal_replay_resume()")
        await until_usable(app, True, True)


async def test_the_doctor_compares_replicas_with_the_primary(
    standbys: Standbys, postgres_server: servers.Server, tmp_path: Path
) -> None:
    settings = settings_for(standbys.url, tmp_path, database_read_urls=standbys.replica_urls[:1])
    finding = next(each for each in await run_checks(settings) if each.subject == "replicas")
    assert (finding.level, finding.text.endswith(" s behind")) == ("ok", True)
    foreign = settings_for(standbys.url, tmp_path, database_read_urls=(postgres_server.url,))
    finding = next(each for each in await run_checks(foreign) if each.subject == "replicas")
    assert "is no copy of ROOMCAST_DATABASE_URL" in finding.text


# The last test: it uses up a standby.
async def test_a_promoted_standby_is_left_out(standbys: Standbys, tmp_path: Path) -> None:
    async with apps(standbys, tmp_path) as [app], await sign_up(app, "ann") as ann:
        room = await ann.create_room("promoted")
        await until_usable(app, True, True)
        await standbys.execute(0, "SELECT pg_promote()")
        await ann.send_messages(room, "after the promotion")
        page = (await ann.execute(PAGE, roomId=room))["messages"]["nodes"]
        assert [node["body"] for node in page] == ["after the promotion"]
        await until_usable(app, False, True)
        findings = {finding.subject: finding for finding in await run_checks(app.roomcast.settings)}
        assert "is no standby, or it was promoted" in findings["replicas"].text
