"""Two processes and clients of every kind during a fault: what the clients have received agrees with what is stored.

The faults last some seconds; with `make chaos` longer than the timeouts, leases and heartbeats.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.api_clients import UserClient, sign_up
from tests.delivery.resuming_clients import FULL
from tests.faults.chatting import (
    InboxClient,
    Listener,
    Setup,
    have_all,
    listeners,
    query,
    send_on,
    stop,
    stored,
)
from tests.faults.cluster import Cluster, open_cluster
from tests.faults.history import History, Stored, violations
from tests.faults.nemesis import NEMESES, QUIET_AT_THE_END, Nemesis, fail_over

pytestmark = [
    pytest.mark.faults,
    pytest.mark.chaos,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("histories"),
]

SECONDS = [22.0, 35.0, 65.0] if FULL else [3.0]
CALM_SECONDS = 3.0 if FULL else 0.7
LISTENERS = 12 if FULL else 4
QUIET_SECONDS = 60.0
"""Within this time after the repair all clients have received everything."""

PAGE = (
    "query Page($id: ID!, $after: String) { messages(roomId: $id, first: 100, after: $after) "
    "{ nodes { seq body } pageInfo { hasNextPage endCursor } } }"
)


class Clusters:
    """One cluster for many tests. It is replaced after a failure, because its state is unknown then."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory, self._stack = factory, AsyncExitStack()
        self._cluster: Cluster | None = None
        self._people: tuple[UserClient, UserClient] | None = None

    async def get(self) -> tuple[Cluster, UserClient, UserClient]:
        if self._cluster is None or self._people is None:
            self._cluster = await self._stack.enter_async_context(open_cluster(self._factory.mktemp("cluster")))
            app = self._cluster.processes[0].app
            self._people = await sign_up(app, "ann"), await sign_up(app, "bob")
        return self._cluster, *self._people

    async def drop(self) -> None:
        stack, self._stack, self._cluster = self._stack, AsyncExitStack(), None
        if self._people is not None:
            for person in self._people:
                await person.http.aclose()
            self._people = None
        with suppress(Exception):
            await asyncio.wait_for(stack.aclose(), 60)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def clusters(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clusters]:
    clusters = Clusters(tmp_path_factory)
    yield clusters
    await clusters.drop()


async def create_setup(cluster: Cluster, ann: UserClient, bob: UserClient) -> Setup:
    room_id = await ann.create_room(f"room {random.getrandbits(64)}", memberIds=[bob.id])
    assert bob.token is not None
    page = await bob.execute("query Q($id: ID!) { room(id: $id) { streamCursor } }", id=room_id)
    return Setup(cluster.processes, bob.token, room_id, page["room"]["streamCursor"])


async def record_history(
    clusters: Clusters, nemesis: Nemesis, seconds: float, history: History, *, quiet: bool = False
) -> list[str]:
    """Let clients send and receive during the fault. Returns the violations of their history."""
    cluster, ann, bob = await clusters.get()
    setup = await create_setup(cluster, ann, bob)
    assert ann.token is not None
    setups = [replace(setup, servers=[process]) for process in cluster.processes]
    senders = [setups[0], replace(setups[1], token=ann.token)]
    # A room of which bob only has unread counts. All its messages are sent through one process.
    other_setup = replace(senders[1], room_id=await ann.create_room("aside", visibility="PRIVATE", memberIds=[bob.id]))
    sending = [
        asyncio.create_task(send_on(sender, history, f"{name}{number}", keyed))
        for number, sender in enumerate(senders)
        for name, keyed in (("keyed", True), ("bare", False))
    ]
    sending.append(asyncio.create_task(send_on(other_setup, History(), "aside", True)))
    listening, inboxes = listeners(setup, history, LISTENERS), [InboxClient(each) for each in setups]
    clients: list[Listener | InboxClient] = [*listening, *inboxes]
    following = [asyncio.create_task(client.run()) for client in clients]
    try:
        await asyncio.sleep(CALM_SECONDS)
        working = asyncio.create_task(nemesis(cluster, seconds))
        if quiet:
            await asyncio.sleep(seconds / 2)
            await stop(sending)
        await working
        await cluster.ready()
        await asyncio.sleep(CALM_SECONDS)
        await stop(sending)
        return await find_violations(cluster, setup, history, listening, inboxes)
    finally:
        await stop([*sending, *following])


async def find_violations(
    cluster: Cluster, setup: Setup, history: History, listening: list[Listener], inboxes: list[InboxClient]
) -> list[str]:
    log = await stored(cluster.fetch, setup.room_id)
    found = []
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET_SECONDS):
            while not all(have_all(listener, log) for listener in listening):  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.05)
    found += violations(history, log)
    for number, process in enumerate(cluster.processes):
        if await shown(setup, number) != log:
            found.append(f"process {number} ({process.url}) does not show what is stored")
    for inbox in inboxes:
        found += await wrong_counts(setup, inbox)
    return found


async def shown(setup: Setup, number: int) -> list[Stored]:
    """The room's history as one process pages through it."""
    found: list[Stored] = []
    after: str | None = None
    while True:
        page = (await query(setup.servers[number], setup.token, PAGE, id=setup.room_id, after=after))["messages"]
        found += [(node["seq"], node["body"]) for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def wrong_counts(setup: Setup, inbox: InboxClient) -> list[str]:
    """The differences between the inbox and one that is opened now."""
    fresh = InboxClient(setup)
    opening = asyncio.create_task(fresh.run())
    try:
        async with asyncio.timeout(QUIET_SECONDS / 2):
            while not fresh.is_open or inbox.unread != fresh.unread:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.05)
    except TimeoutError:
        wrong = {id_: room for id_, room in inbox.unread.items() if fresh.unread.get(id_) != room}
        return [f"an inbox of {inbox.setup.servers[0].url} shows {wrong}, a fresh one otherwise"]
    finally:
        await stop([opening])
    return []


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("name", NEMESES)
async def test_clients_receive_exactly_what_is_stored(name: str, seconds: float, clusters: Clusters) -> None:
    history = History()
    found = ["not finished"]
    try:
        found = await record_history(clusters, NEMESES[name], seconds, history, quiet=name in QUIET_AT_THE_END)
    finally:
        if found:
            await clusters.drop()
    assert not found, "\n".join(found)
    assert history.acknowledged


@pytest.mark.parametrize("seconds", SECONDS)
async def test_lost_commits_are_announced_after_a_failover(seconds: float, clusters: Clusters) -> None:
    history = History(commits_lost=True)
    try:
        found = await record_history(clusters, fail_over, seconds, history)
    finally:
        await clusters.drop()
    assert not found, "\n".join(found)
    assert any(len(deliveries.segments) > 1 for deliveries in history.deliveries), (
        "no client got the end of a lost position"
    )
