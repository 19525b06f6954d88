"""Live delivery (`realtime/`): two processes with a hub each, one log, and clients that connect, stall and leave.

Everything around the hubs is simulated: the log and who may read it, the bus, the sockets, and the documents that a
stream shows. The hub, topics, groups, readers and outboxes are the product's own.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from roomcast.realtime.bus.bus import Frame
from roomcast.realtime.hub import Hub
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.ports import Failure, FeedEntry
from roomcast.realtime.reader import Reader, Subscriber
from roomcast.realtime.retry import retry_until_success
from roomcast.realtime.topic import Topic
from tests.simulation.bus import Buses
from tests.simulation.connection import SimulatedConnection
from tests.simulation.database import InMemoryStore, SimulatedEpoch
from tests.simulation.faults import Faults
from tests.simulation.loop import SimulatedLoop, Violation, number_instances
from tests.simulation.renderer import SimulatedRenderer
from tests.simulation.truth import Fact, InMemoryLog, Ledger

FAULTY_SECONDS = 8.0
REPAIR_SECONDS = 35.0
"""After the last fault: what hangs or stalls has ended by its time-out."""

SETTLE_SECONDS = 10.0
"""After the repairs: every retry has had its turn."""

PROMPT_SECONDS = 2.5
"""Within these a healthy system shows a new event whose frame was lost, and ends the stream of who lost the right."""

number_instances(Reader)


class FlakySource:
    """The product's view of the log (`realtime.Source`): each question may fail, hang or be slow."""

    def __init__(self, logs: Mapping[str, InMemoryLog], faults: Faults) -> None:
        self._logs, self._faults = logs, faults

    async def after(self, topic: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        await self._faults.ask_database()
        found = [_entry(fact) for fact in self._logs[topic].after(seq, limit)]
        await self._faults.answer_from_database()
        return found

    async def tails(self, topics: Collection[str]) -> Mapping[str, int]:
        await self._faults.ask_database()
        found = {topic: self._logs[topic].tail for topic in topics if self._logs[topic].exists}
        await self._faults.answer_from_database()
        return found

    async def lost(self, topic: str, audience: Collection[Hashable]) -> Mapping[Hashable, Any]:
        await self._faults.ask_database()
        log = self._logs[topic]
        found = {person: "lost" for person in audience if person not in log.members or not log.exists}
        await self._faults.answer_from_database()
        return found

    def decode(self, seq: int, body: str) -> FeedEntry:
        return _entry(Fact(seq, *json.loads(body)))


def _entry(fact: Fact) -> FeedEntry:
    return FeedEntry(fact.seq, fact, rights=fact.changes_rights, rewrites=fact.kind == "rewrite", mark=fact.id)


class Process:
    """One server process: a hub and its place on the bus."""

    def __init__(self, logs: Mapping[str, InMemoryLog], store: InMemoryStore, faults: Faults, buses: Buses) -> None:
        self.bus = buses.place(lambda frame: self.hub.on_frame(frame), lambda topics: self.hub.on_resync(topics))
        self.epoch = SimulatedEpoch(store, faults, lambda: self.hub.restart())
        self.hub = Hub(FlakySource(logs, faults), self.bus.join, self.bus.leave, self.epoch)

    async def start(self) -> None:
        await self.epoch.load()
        await self.bus.start()
        await self.hub.start()

    async def stop(self) -> None:
        await asyncio.sleep(3)  # a room that is still being opened for somebody who has gone
        if self.hub.reader_count or self.hub.topics or self.bus._joined:
            raise Violation(f"left behind: {self.hub.reader_count} readers, {list(self.bus._joined)} joined")
        await self.hub.stop()
        await self.bus.stop()


class World:
    def __init__(self, loop: SimulatedLoop, *, failover: bool, defects: bool) -> None:
        self.random = loop.random
        self.faults = Faults.drawn(self.random, defects=defects)
        people = [f"person {number}" for number in range(self.random.choice([1, 3, 6]))]
        topics = ["room:a", "room:b"][: self.random.choice([1, 1, 2])]
        self.logs = {topic: InMemoryLog(topic, frozenset(people)) for topic in topics}
        self.buses, self._store = Buses(self.faults), InMemoryStore()
        self.processes = [Process(self.logs, self._store, self.faults, self.buses) for _ in range(2)]
        self.is_over = False
        self._ids = 0
        self._fails_over = failover and self.random.random() < 0.3
        if self.random.random() < 0.5:
            self._store.timeline = self._store.epoch_timeline = 1
        self.clients = [
            SimulatedClient(self, self.random.choice(self.processes), log, person)
            for person in people
            for log in self.logs.values()
        ]

    # ------------------------------------------------------------------ what happens to the log

    def commit(self, log: InMemoryLog, kind: str, person: str | None = None, *, publish: bool = True) -> None:
        self._ids += 1
        fact = log.append(self._ids, kind, person)
        if publish:
            self.buses.publish([Frame(log.topic, fact.seq, json.dumps([fact.id, fact.kind, fact.person]))])

    def commit_something(self) -> None:
        log = self.random.choice(list(self.logs.values()))
        kind = self.random.choices(["message", "hidden", "rewrite", "removed", "added"], [12, 3, 2, 1, 2])[0]
        outside = sorted({client.person for client in self.clients} - log.members)
        people = sorted(log.members) if kind == "removed" else outside
        if kind in ("removed", "added"):
            if people:
                self.commit(log, kind, self.random.choice(people))
        else:
            for _ in range(self.random.choice([1, 1, 1, 2, 5, 20])):
                self.commit(log, kind, publish=not self.faults.happens(0.02))

    async def write(self) -> None:
        fails_over_at = self.random.uniform(2, 8) if self._fails_over else 1e9
        began = asyncio.get_running_loop().time()
        while (passed := asyncio.get_running_loop().time() - began) < FAULTY_SECONDS:
            if not self._hides_a_loss:
                self.commit_something()
            await asyncio.sleep(self.random.choice([0, 0.001, 0.02, 0.2, 1.0]))
            if passed > fails_over_at:
                fails_over_at = 1e9
                await self._fail_over()

    async def _fail_over(self) -> None:
        self.faults.is_down = True
        await asyncio.sleep(self.random.uniform(1.5, 3))  # longer than any frame or question is under way
        for log in self.logs.values():
            log.fail_over(self.random.choice([1, 2, 10]), self._store.epoch.int + 1)
        self._store.fail_over()
        self.faults.is_down = False
        if self._store.timeline is None:  # what was read before is still on its way to clients, and shows nothing
            await asyncio.sleep(self.random.uniform(3, 5))

    @property
    def _hides_a_loss(self) -> bool:
        """Whether the next commits could hide a failover for good: without timelines, only a log that ends before a
        position of a process or a client shows that it has lost events."""
        if self._store.timeline is not None:
            return False
        positions = [(client.ledger.position or 0, client.ledger.log.tail) for client in self.clients]
        for process in self.processes:
            positions += [(topic.position, self.logs[topic.name].tail) for topic in process.hub.topics]
        return any(position > tail for position, tail in positions)

    # ------------------------------------------------------------------ what must hold

    async def settle(self, seconds: float, why: str) -> None:
        """Wait until every client has all that it may have. Raises Violation when that takes longer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while behind := [client for client in self.clients if not client.is_content]:
            if loop.time() > deadline:
                raise Violation(f"{why}: {behind[0].describe()}")
            await asyncio.sleep(0.05)

    async def last_events(self) -> None:
        """A healthy system is prompt: what no frame tells is found, and a lost right is felt."""
        for log in self.logs.values():
            self.commit(log, "message", publish=False)
            if log.members:
                self.commit(log, "removed", self.random.choice(sorted(log.members)), publish=False)
        await self.settle(PROMPT_SECONDS, "not prompt without faults")


async def scenario(loop: SimulatedLoop, *, failover: bool = True, defects: bool = True) -> None:
    world = World(loop, failover=failover, defects=defects)
    for process in world.processes:
        await process.start()
    running = [asyncio.create_task(client.run(), name=client.name) for client in world.clients]
    await world.write()
    world.faults.stop()
    await asyncio.sleep(REPAIR_SECONDS)
    await world.settle(SETTLE_SECONDS, "a stream hangs after the faults have stopped")
    await world.last_events()
    world.is_over = True
    for task in running:
        task.cancel()
    for outcome in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    for process in world.processes:
        await process.stop()


class SimulatedClient:
    """One subscription of one room: it connects, subscribes with its cursor, goes away, and comes back."""

    def __init__(self, world: World, process: Process, log: InMemoryLog, person: str) -> None:
        self._world, self._process, self._log, self.person = world, process, log, person
        self._faults = world.faults
        self._has_control_events = world.random.random() < 0.6
        self._is_personal = world.random.random() < 0.4
        self.name = f"{person} in {log.topic}"
        self.ledger = Ledger(log, person, self.name)
        self._epoch = 0
        self._over = asyncio.Event()
        self._attached: tuple[Topic, Reader] | None = None
        self.failure: Violation | None = None

    @property
    def is_content(self) -> bool:
        if self.failure is not None:
            raise self.failure
        if self.person not in self._log.members:
            return self._attached is None
        if self._attached is None:
            return False
        return self.ledger.is_complete or self._has_nothing_to_show

    @property
    def _has_nothing_to_show(self) -> bool:
        """A quiet stream from now on: it has no cursor yet."""
        return self.ledger.position is None

    def describe(self) -> str:
        reader = "an open stream" if self._attached else "no stream"
        is_member = self.person in self._log.members
        return f"{self.name} is at {self.ledger.position} of {self._log.tail}, has {reader}, {is_member=}"

    async def run(self) -> None:
        while True:
            await self._connect_once()
            await asyncio.sleep(self._faults.random.choice([0, 0.1, 1.0]))

    async def _connect_once(self) -> None:
        self._over = asyncio.Event()
        connection = SimulatedConnection(self._faults, self._on_text)
        write = connection.write if self._faults.random.random() < 0.5 else None
        outbox = Outbox(connection.send, connection.abort, stall_seconds=5.0, write=write)
        opening = asyncio.create_task(self._open(outbox), name=f"{self.name} subscribes")
        try:
            await self._until_gone(connection)
        finally:
            connection.vanish()
            opening.cancel()
            self._detach()
            await asyncio.gather(opening, return_exceptions=True)
            self._detach()
            await outbox.close()

    async def _until_gone(self, connection: SimulatedConnection) -> None:
        """A client goes after a moment, at any await of its subscription, or stays as long as it is served."""
        waits = [asyncio.create_task(event.wait()) for event in (connection.gone, self._over)]
        patience = self._faults.random.choice([0, 0.002, 0.05, 1.0, 5.0, 100.0]) if self._faults.is_active else None
        try:
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    # ------------------------------------------------------------------ what api/websocket/connection.py does

    async def _open(self, outbox: Outbox) -> None:
        try:
            epoch, tail, after, start = await retry_until_success(
                self._admit, worth=lambda error: not isinstance(error, LookupError)
            )
            reader = await self._attach(outbox, epoch, tail, after)
            if reader.is_open:
                start(reader)
        except LookupError:  # the room is gone, or this person may not read it
            self._over.set()

    async def _admit(self) -> "tuple[UUID, int, int | None, Callable[[Reader], None]]":
        """The epoch and the tail when this person had the right to read, and where and how the stream begins."""
        epoch = self._process.epoch.current
        await self._faults.ask_database()
        log, after = self._log, self.ledger.position
        if self.person not in log.members or not log.exists:
            raise LookupError("no such room")
        tail = log.tail
        await self._faults.answer_from_database()
        if after is None:
            return epoch, tail, None, Reader.start_live
        if after > tail or self._epoch != epoch.int:
            return epoch, tail, None, self._start_unrecovered
        return epoch, tail, after, partial(self._start_after, after, epoch)

    def _start_after(self, after: int, epoch: UUID, reader: Reader) -> None:
        if self._process.epoch.current == epoch:
            reader.start_after(after)
        else:
            reader.start_unrecovered()

    def _start_unrecovered(self, reader: Reader) -> None:
        if not self._has_control_events:  # roomMessages answers RESUME_EXPIRED
            self.ledger.reset(None)
        reader.start_unrecovered()

    async def _attach(self, outbox: Outbox, admitted: UUID, tail: int, after: int | None) -> Reader:
        hub, key = self._process.hub, (self._has_control_events, self._is_personal)
        epoch = self._process.epoch
        script: Any = partial(
            SimulatedRenderer,
            self._faults,
            epoch,
            is_personal=self._is_personal,
            has_control_events=self._has_control_events,
        )
        async with hub.topic(self._log.topic) as topic:
            if topic is None:
                raise LookupError("no such room")
            listener = Subscriber(outbox, self.person, b"", b"", self._on_over, self._on_failed)
            reader = hub.attach(topic, key, script, listener, after)
            self._attached = topic, reader
            await topic.recheck_rights(reader, tail if admitted == epoch.current else -1)
        return reader

    def _on_over(self) -> None:
        if self._attached is not None:
            topic, _ = self._attached
            self._attached = None
            self._process.hub.release(topic)
        self._over.set()

    def _on_failed(self, failure: Failure) -> None:
        """The server ended it with an error, after which the client subscribes again."""
        if failure is Failure.EXPIRED:
            self.ledger.reset(None)
        self._on_over()

    def _detach(self) -> None:
        if self._attached is not None:
            attached, self._attached = self._attached, None
            self._process.hub.detach(*attached)

    # ------------------------------------------------------------------ what the client is shown

    def _on_text(self, text: str) -> None:
        try:
            self._show(json.loads(text))
        except Violation as violation:
            self.failure = self.failure or violation

    def _show(self, shown: dict[str, Any]) -> None:
        self._epoch = shown["epoch"]
        if "ended" in shown:
            self.ledger.end(shown["ended"], self._epoch)
        elif "ready" not in shown:
            self.ledger.show(shown["seq"], shown["id"], self._epoch)
        elif shown["recovered"]:
            self.ledger.advance(shown["ready"], "ready", self._epoch)
        else:
            self.ledger.reset(shown["ready"])
