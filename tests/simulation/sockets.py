"""Sockets and inboxes (`api/`): two processes, a database in memory, and clients that speak graphql-transport-ws.

Sockets, sessions, the engine with the real schema, streams, inboxes, hub and watch are the product's own. Simulated
are the database (`database.py`), the bus, and the clients with their connections.
"""

import asyncio
import itertools
from functools import cache
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID

from prometheus_client import CollectorRegistry

from roomcast.accounts.sessions import Sessions
from roomcast.accounts.tokens import Claims
from roomcast.api.context import Backend
from roomcast.api.execution.documents import DocumentCache
from roomcast.api.execution.engine import Engine
from roomcast.api.execution.limits import Limits
from roomcast.api.schema import root
from roomcast.api.websocket import registry
from roomcast.api.websocket.admission import Admission, ConnectionLimits
from roomcast.api.websocket.connection import Connection
from roomcast.api.websocket.operations import ActiveOperation
from roomcast.api.websocket.registry import ConnectionRegistry
from roomcast.core.actor import Actor
from roomcast.core.errors import Unauthenticated
from roomcast.core.events import EventCodec
from roomcast.core.metrics import OperationMetrics
from roomcast.core.periodic import PeriodicTask
from roomcast.core.refusals import Refusals
from roomcast.live.inbox import Inbox
from roomcast.live.inbox_reconciler import STEP_SECONDS, InboxReconciler
from roomcast.live.room_streams import RoomEventSource, StreamAccess
from roomcast.live.topics import is_room_topic, room_topic, user_topic
from roomcast.realtime.bus.bus import Frame
from roomcast.realtime.hub import Hub
from roomcast.realtime.watchers import WatcherRegistry
from roomcast.receipts.events import ThreadStateChanged
from roomcast.server.origins import Origins
from tests.simulation.bus import Buses
from tests.simulation.clients import SocketClient, every_document
from tests.simulation.database import BEGINNING, FakeDatabase, InMemoryStore, SimulatedEpoch, event_of, thread_of
from tests.simulation.faults import Faults
from tests.simulation.loop import SimulatedLoop, Violation, number_instances
from tests.simulation.truth import InMemoryLog

FAULTY_SECONDS = 6.0
REPAIR_SECONDS = 65.0
"""After the last fault: every time-out has passed, one after another."""

SETTLE_SECONDS = 90.0
"""An inbox that got no frame counts all rooms within a minute."""

PROMPT_SECONDS = 2.5
"""Within these a healthy system shows an event whose frame was lost, and ends what a session or member has lost."""

OPERATIONS = OperationMetrics(CollectorRegistry())

number_instances(Connection, Inbox, ActiveOperation)


def without_addresses() -> Any:
    """Heartbeats are spread by the address of each socket: here by its number, which is the same in each run."""
    return patch.object(registry, "id", lambda socket: hash(socket) << 6, create=True)


class IssuedTokens:
    """Access tokens that name their person and session."""

    def verify(self, token: str) -> Claims:
        try:
            user, session = token.split(":")
            return Claims(UUID(user), UUID(session), BEGINNING.replace(year=9000))
        except ValueError:
            raise Unauthenticated("this access token is not valid") from None


class NoPresence:
    """Who is online is of no interest here."""

    def on_connect(self, _actor: Actor) -> None: ...

    def on_disconnect(self, _actor: Actor, *, for_good: bool) -> None: ...


class Process:
    """One server process, put together as app.py does it."""

    def __init__(self, store: InMemoryStore, faults: Faults, buses: Buses) -> None:
        db: Any = FakeDatabase(store, faults)
        self.bus, self.lines = buses.place(self._on_frame, self._on_resync), EventCodec()
        room_log = RoomEventSource(db, self.lines)
        self.epoch = SimulatedEpoch(store, faults, self._on_epoch)
        self.hub = Hub(room_log, self.bus.join, self.bus.leave, self.epoch)
        self.watch = WatcherRegistry(self.bus.join, self.bus.leave, room_log.tails, is_room_topic, self.epoch)
        self.sessions = Sessions(db, cast("Any", IssuedTokens()))
        checks = InboxReconciler(db)
        self.checking_inboxes = PeriodicTask("check inboxes", STEP_SECONDS, checks.check_next)
        self.sockets = ConnectionRegistry(
            _engine(db, self.epoch, self.sessions, self.watch, checks),
            self.hub,
            Origins(()),
            Admission(ConnectionLimits(), NoPresence()),
        )

    def _on_epoch(self) -> None:
        self.hub.restart()
        self.watch.restart()

    def _on_frame(self, frame: Frame) -> None:
        self.hub.on_frame(frame)
        self.watch.on_frame(frame)

    def _on_resync(self, topics: Any) -> None:
        self.hub.on_resync(topics)
        self.watch.on_resync(topics)

    async def start(self) -> None:
        await self.epoch.load()
        await self.bus.start()
        await self.hub.start()
        await self.watch.start()
        await self.sockets.start()
        self.checking_inboxes.start()

    async def stop(self) -> None:
        await asyncio.sleep(3)
        left = {
            "readers": self.hub.reader_count,
            "topics": len(self.hub.topics),
            "watched": len(self.watch.topics),
            "joined": len(self.bus._joined),
            "sockets": len(self.sockets.connections),
        }
        if any(left.values()):
            raise Violation(f"left behind when all clients had gone: {left}")
        await self.checking_inboxes.stop()
        await self.sockets.stop()
        await self.sessions.close()
        await self.hub.stop()
        await self.watch.stop()
        await self.bus.stop()


def _engine(
    db: Any, epoch: SimulatedEpoch, sessions: Sessions, watch: WatcherRegistry, checks: InboxReconciler
) -> Engine:
    nothing: Any = None
    backend = Backend(
        db=db,
        epoch_tracker=epoch,
        tokens=nothing,
        passwords=nothing,
        credentials=nothing,
        sessions=sessions,
        stream_access=StreamAccess(db),
        account_rules=nothing,
        message_sender=nothing,
        watchers=watch,
        inbox_reconciler=checks,
        presence=cast("Any", NoPresence()),
        links=nothing,
        file_limits=nothing,
        refusals=Refusals(),
        max_response_bytes=Limits().response_bytes,
    )
    engine = Engine(root.build_schema(), backend, Limits(), operations=OPERATIONS, introspection=False)
    engine.documents = _parsed_documents()
    return engine


@cache
def _parsed_documents() -> DocumentCache:
    """Parsed once for all seeds, and before the first: a seed must not depend on those that ran before it."""
    documents = DocumentCache(root.build_schema()._schema, Limits(), introspection=False)
    for text in every_document():
        documents.operation(text, None)
    return documents


class World:
    def __init__(self, loop: SimulatedLoop, *, defects: bool) -> None:
        self.random = loop.random
        self.faults = Faults.drawn(self.random, defects=defects)
        self.store = InMemoryStore()
        self.ids = itertools.count(1)
        self._fails_over = self.random.random() < 0.2
        if self.random.random() < 0.5:
            self.store.timeline = self.store.epoch_timeline = 1
        people = [self.new_id() for _ in range(self.random.choice([1, 2, 3]))]
        for _ in range(self.random.choice([1, 2])):
            room_id = self.new_id()
            self.store.logs[room_id] = InMemoryLog(room_topic(room_id), frozenset(map(str, people)))
        self.buses = Buses(self.faults)
        self.processes = [Process(self.store, self.faults, self.buses) for _ in range(2)]
        self.running: list[asyncio.Task[None]] = []
        self.clients = [SocketClient(self, self.random.choice(self.processes), person) for person in people]

    def new_id(self) -> UUID:
        return UUID(int=next(self.ids) << 64 | 7 << 76 | 2 << 62)

    # ------------------------------------------------------------------ what happens

    def commit(self, room_id: UUID, kind: str, person: UUID | None = None, *, publish: bool = True) -> None:
        log_ = self.store.logs[room_id]
        fact = log_.append(next(self.ids), kind, str(person) if person else None)
        if not publish:
            return
        event = event_of(fact, room_id)
        sender = self.random.choice(self.processes)
        sender.watch.note_committed([(log_.topic, fact.seq)])
        line = sender.lines.pack(event)
        frames = [Frame(log_.topic, fact.seq, line)]
        if person is not None:
            frames.append(Frame(user_topic(person), 0, line))
        self.buses.publish(frames)

    def read_thread(self, room_id: UUID, person: UUID, *, publish: bool) -> None:
        self.store.read_thread(room_id, person)
        event = ThreadStateChanged(room_id=room_id, at=BEGINNING, user_id=person, thread_root_id=thread_of(room_id))
        if publish:
            self.buses.publish([Frame(user_topic(person), 0, self.random.choice(self.processes).lines.pack(event))])

    def commit_something(self) -> None:
        room_id = self.random.choice(list(self.store.logs))
        members = self.store.logs[room_id].members
        person = self.random.choice(self.clients).person
        # The sender died between its commit and its publish. Not where a failover loses the event as well: that only
        # this sender could have told from an event that never was.
        lost = not self._fails_over and self.faults.happens(0.05)
        if self.random.random() < 0.1 and str(person) in members:
            self.read_thread(room_id, person, publish=not lost)
        elif self.random.random() < 0.7:
            self.commit(room_id, "message", publish=not lost)
        elif str(person) not in members:
            self.commit(room_id, "added", person, publish=not lost)
        elif self.random.random() < 0.5:
            self.commit(room_id, "removed", person, publish=not lost)

    async def write(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        fails_over_at = began + self.random.uniform(1, 5) if self._fails_over else began + 1e9
        while loop.time() < began + FAULTY_SECONDS:
            self.commit_something()
            if loop.time() > fails_over_at:
                fails_over_at = began + 1e9
                await self._fail_over()
            if self.random.random() < 0.05:
                self.random.choice(self.clients).revoke()
            await asyncio.sleep(self.random.choice([0, 0.001, 0.05, 0.3]))

    async def _fail_over(self) -> None:
        self.faults.is_down = True
        await asyncio.sleep(self.random.uniform(1.5, 3))
        for log_ in self.store.logs.values():
            log_.fail_over(self.random.choice([0, 1, 5]), self.store.epoch.int + 1)
        self.store.fail_over()
        self.faults.is_down = False
        if self.store.timeline is None:  # only a log that ends too early shows the loss, until it has grown again
            await asyncio.sleep(self.random.uniform(3, 5))

    # ------------------------------------------------------------------ what must hold

    async def settle(self, seconds: float, why: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        for task in self.running:
            if task.done():
                task.result()
        while troubles := [trouble for client in self.clients for trouble in client.troubles()]:
            if loop.time() > deadline:
                raise Violation(f"{why}: {troubles[0]}")
            await asyncio.sleep(0.05)

    async def last_threads(self) -> None:
        """Each thread gets a reply, is read, gets another, and is read by somebody whose frame is lost."""
        for publish, seconds in ((True, PROMPT_SECONDS), (False, SETTLE_SECONDS)):
            for room_id in self.store.logs:
                for _ in range(3):  # one of them is a reply
                    self.commit(room_id, "message")
            await self.settle(PROMPT_SECONDS, "not prompt with replies")
            for room_id, log_ in self.store.logs.items():
                for person in sorted(log_.members):
                    self.read_thread(room_id, UUID(person), publish=publish)
            await self.settle(seconds, "not told of read threads")

    async def last_events(self) -> None:
        for room_id, log_ in self.store.logs.items():
            self.commit(room_id, "message", publish=False)
            if log_.members:
                self.commit(room_id, "removed", UUID(self.random.choice(sorted(log_.members))))
        self.random.choice(self.clients).revoke()
        await self.settle(PROMPT_SECONDS + 0.5, "not prompt without faults")


async def scenario(loop: SimulatedLoop, *, defects: bool = True) -> None:
    world = World(loop, defects=defects)
    for process in world.processes:
        await process.start()
    world.running = [asyncio.create_task(client.run(), name="client") for client in world.clients]
    await world.write()
    world.faults.stop()
    await asyncio.sleep(REPAIR_SECONDS)
    await world.settle(SETTLE_SECONDS, "after the faults have stopped")
    await world.last_threads()
    await world.last_events()
    for task in world.running:
        task.cancel()
    for outcome in await asyncio.gather(*world.running, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    for process in world.processes:
        await process.stop()
