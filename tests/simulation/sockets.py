"""Sockets and inboxes (`api/`): two processes, a database in memory, and clients that speak graphql-transport-ws.

Sockets, sessions, the engine with the real schema, streams, inboxes, hub and watch are the product's own. Simulated
are the database (`database.py`), the bus, and the clients with their connections.
"""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID

from prometheus_client import CollectorRegistry

from roomcast.accounts.sessions import Sessions
from roomcast.accounts.tokens import Claims
from roomcast.api import schema, sockets
from roomcast.api.context import Backend
from roomcast.api.crowd import Places
from roomcast.api.execution import Engine
from roomcast.api.inbox import Inbox, topic_of_person
from roomcast.api.inbox_checks import STEP_SECONDS, InboxChecks
from roomcast.api.limits import Limits
from roomcast.api.operations import ActiveOperation
from roomcast.api.protocol import SUBPROTOCOL
from roomcast.api.socket import Socket
from roomcast.api.sockets import Sockets
from roomcast.api.subscriptions import RoomLog, is_room_topic, topic_of
from roomcast.api.transport import ABORT, LEAVE, WRITE
from roomcast.core import log
from roomcast.core.actor import Actor
from roomcast.core.chores import Chore
from roomcast.core.clock import now
from roomcast.core.errors import Unauthenticated
from roomcast.core.events import Lines
from roomcast.core.ids import global_id
from roomcast.core.metrics import Operations
from roomcast.realtime.bus import Frame
from roomcast.realtime.hub import Hub
from roomcast.realtime.watch import Watch
from tests.simulation.bus import Buses
from tests.simulation.connection import SimulatedConnection
from tests.simulation.database import BEGINNING, FakeDatabase, InMemoryStore, SimulatedEpoch, event_of, id_of
from tests.simulation.faults import Faults
from tests.simulation.loop import SimulatedLoop, Violation, number_instances
from tests.simulation.truth import InMemoryLog, Ledger

FAULTY_SECONDS = 6.0
REPAIR_SECONDS = 65.0
"""After the last fault: every time-out has passed, one after another."""

SETTLE_SECONDS = 90.0
"""An inbox that nothing was heard for counts anew within a minute."""

PROMPT_SECONDS = 2.5
"""Within these a healthy system shows an event whose frame was lost, and ends what a session or member has lost."""

OPERATIONS = Operations(CollectorRegistry())

MESSAGES = "subscription($room: ID!, $after: Cursor) { %s: roomMessages(roomId: $room, after: $after) { cursor } }"
EVENTS = """subscription($room: ID!, $after: Cursor) { %s: roomEvents(roomId: $room, after: $after) {
  __typename cursor at ... on StreamReady { recovered } ... on StreamEnded { reason } } }"""
INBOX = """subscription { inboxEvents { __typename
  ... on InboxSnapshot { rooms { roomId unreadCount } }
  ... on UnreadChanged { room { roomId unreadCount } }
  ... on RoomListChanged { roomId change } } }"""

number_instances(Socket, Inbox, ActiveOperation)


def without_addresses() -> Any:
    """Heartbeats are spread by the address of each socket: here by its number, which is the same in each run."""
    return patch.object(sockets, "id", lambda socket: hash(socket) << 6, create=True)


class IssuedTokens:
    """Access tokens that name their person and session."""

    def read(self, token: str) -> Claims:
        try:
            user, session = token.split(":")
            return Claims(UUID(user), UUID(session), BEGINNING.replace(year=9000))
        except ValueError:
            raise Unauthenticated("this access token is not valid") from None


class NoPresence:
    """Who is online is of no interest here."""

    def come(self, _actor: Actor) -> None: ...

    def go(self, _actor: Actor, *, for_good: bool) -> None: ...


class Process:
    """One server process, put together as app.py does it."""

    def __init__(self, store: InMemoryStore, faults: Faults, buses: Buses) -> None:
        db: Any = FakeDatabase(store, faults)
        self.bus, self.lines = buses.place(self._on_frame, self._on_resync), Lines()
        room_log = RoomLog(db, self.lines)
        self.epoch = SimulatedEpoch(store, faults, self._on_epoch)
        self.hub = Hub(room_log, self.bus.join, self.bus.leave, self.epoch)
        self.watch = Watch(self.bus.join, self.bus.leave, room_log.tails, is_room_topic, self.epoch)
        self.sessions = Sessions(db, cast("Any", IssuedTokens()))
        checks = InboxChecks(db)
        self.checking_inboxes = Chore("check inboxes", STEP_SECONDS, checks.look)
        self.sockets = Sockets(_engine(db, self.epoch, self.sessions, self.watch, checks), self.hub, (), Places())

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
            "sockets": len(self.sockets.open),
        }
        if any(left.values()):
            raise Violation(f"left behind when all clients had gone: {left}")
        await self.checking_inboxes.stop()
        await self.sockets.stop()
        await self.sessions.close()
        await self.hub.stop()
        await self.watch.stop()
        await self.bus.stop()


def _engine(db: Any, epoch: SimulatedEpoch, sessions: Sessions, watch: Watch, checks: InboxChecks) -> Engine:
    nothing: Any = None
    backend = Backend(
        db=db,
        store=epoch,
        tokens=nothing,
        passwords=nothing,
        credentials=nothing,
        sessions=sessions,
        account_rules=nothing,
        send=nothing,
        watch=watch,
        inbox_checks=checks,
        signals=cast("Any", NoPresence()),
        links=nothing,
        max_upload_bytes=0,
        upload_quota_bytes=0,
        max_response_bytes=Limits().response_bytes,
    )
    engine = Engine(schema.build(), backend, Limits(), operations=OPERATIONS, introspection=False)
    engine.documents = _documents.setdefault("known", engine.documents)  # parsed once for all seeds
    return engine


_documents: dict[str, Any] = {}


class World:
    def __init__(self, loop: SimulatedLoop, *, defects: bool) -> None:
        self.random = loop.random
        self.faults = Faults.drawn(self.random, defects=defects)
        self.store = InMemoryStore()
        self.ids = itertools.count(1)
        self._fails_over = self.random.random() < 0.2
        people = [self.new_id() for _ in range(self.random.choice([1, 2, 3]))]
        for _ in range(self.random.choice([1, 2])):
            room_id = self.new_id()
            self.store.logs[room_id] = InMemoryLog(topic_of(room_id), frozenset(map(str, people)))
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
        sender.watch.committed([(log_.topic, fact.seq)])
        line = sender.lines.pack(event)
        frames = [Frame(log_.topic, fact.seq, line)]
        if person is not None:
            frames.append(Frame(topic_of_person(person), 0, line))
        self.buses.publish(frames)

    def commit_something(self) -> None:
        room_id = self.random.choice(list(self.store.logs))
        members = self.store.logs[room_id].members
        person = self.random.choice(self.clients).person
        # The sender died between its commit and its publish. Not where a failover loses the event as well: that only
        # this sender could have told from an event that never was.
        lost = not self._fails_over and self.faults.happens(0.05)
        if self.random.random() < 0.7:
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
        self.faults.is_down = False
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
    await world.last_events()
    for task in world.running:
        task.cancel()
    for outcome in await asyncio.gather(*world.running, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    for process in world.processes:
        await process.stop()


# ------------------------------------------------------------------ what a client wants


class Subscription:
    """Something that a client wants to be shown for good, across connections. `id`: None while it is not running."""

    id: str | None = None

    def document(self) -> str:
        raise NotImplementedError

    def variables(self) -> dict[str, Any]:
        return {}

    def show(self, data: dict[str, Any]) -> None:
        raise NotImplementedError

    def trouble(self) -> str | None:
        """What is missing, when everything should be there."""

    def on_error(self, code: str) -> None:
        """The server refused it; the client will try again."""


class RoomSubscription(Subscription):
    """`by_map`: its cursor goes into the connection's resume map, and `after` only where it subscribes once more on the
    same connection. `generation`: an alias that tells the results of one subscription from those of the one before it
    under the same id."""

    def __init__(self, world: World, room_id: UUID, person: UUID) -> None:
        self.log, self.room_id, self.person = world.store.logs[room_id], room_id, person
        self.is_events = world.random.random() < 0.5
        self.by_map = world.random.random() < 0.5
        self.generation, self._on_connection = 0, 0
        self._last_cursor = ""
        shows: Callable[[Any], bool] = (lambda _fact: True) if self.is_events else (lambda fact: fact.kind == "message")
        self.ledger = Ledger(self.log, str(person), self.field, shows)

    @property
    def field(self) -> str:
        return "roomEvents" if self.is_events else "roomMessages"

    def on_connected(self) -> None:
        self._on_connection, self.id = 0, None

    def resume(self) -> dict[str, str]:
        cursor = self._cursor() if self.by_map else None
        return {f"{global_id('room', self.room_id)}:{self.field}": cursor} if cursor else {}

    def document(self) -> str:
        self.generation = (self.generation + 1) % 16
        return (EVENTS if self.is_events else MESSAGES) % f"g{self.generation}"

    def variables(self) -> dict[str, Any]:
        self._on_connection += 1
        after = None if self.by_map and self._on_connection == 1 else self._cursor()
        return {"room": global_id("room", self.room_id), "after": after}

    def show(self, data: dict[str, Any]) -> None:
        event = data.get(f"g{self.generation}")
        if event is None:  # of a subscription that was completed meanwhile
            return
        self._last_cursor = event["cursor"]
        cursor, kind = log.read_cursor(event["cursor"]), event.get("__typename")
        seq, epoch = cursor.seq, int.from_bytes(cursor.epoch_mark)
        if kind == "StreamEnded":
            self.ledger.end(seq, epoch)
        elif kind != "StreamReady":
            self.ledger.show(seq, id_of(event["at"]) if self.is_events else None, epoch)
        elif event["recovered"]:
            self.ledger.advance(seq, "StreamReady", epoch)
        else:
            self.ledger.reset(seq)

    def advance(self, text: str) -> None:
        """The server says where this stream is."""
        cursor = log.read_cursor(text)
        self._last_cursor = text
        self.ledger.advance(cursor.seq, "a ping", int.from_bytes(cursor.epoch_mark))

    def trouble(self) -> str | None:
        place = f"{self.field} of {self.log.topic} at {self.ledger.position} of {self.log.tail}"
        if str(self.person) not in self.log.members:
            return f"{place} runs for somebody who is no member" if self.id else None
        if self.id is None:
            return f"{place} does not run"
        return None if self.ledger.position is None or self.ledger.is_complete else f"{place} hangs"

    def on_error(self, code: str) -> None:
        if code == "RESUME_EXPIRED":
            self.ledger.reset(None)

    def _cursor(self) -> str | None:
        return None if self.ledger.position is None else self._last_cursor


class InboxSubscription(Subscription):
    """A client's copy of its inbox: it must become equal to what the database counts."""

    def __init__(self, world: World, person: UUID) -> None:
        self._store, self._person = world.store, person
        self._rooms: dict[str, int] | None = None

    def document(self) -> str:
        self._rooms = None
        return INBOX

    def show(self, data: dict[str, Any]) -> None:
        event = data["inboxEvents"]
        if event["__typename"] == "InboxSnapshot":
            self._rooms = {room["roomId"]: room["unreadCount"] for room in event["rooms"]}
        elif self._rooms is None:
            raise Violation("an inbox began without a snapshot")
        elif event["__typename"] == "UnreadChanged":
            self._rooms[event["room"]["roomId"]] = event["room"]["unreadCount"]
        elif event["change"] == "REMOVED":
            self._rooms.pop(event["roomId"], None)

    def trouble(self) -> str | None:
        truth = {global_id("room", one.room_id): one.unread_count for one in self._store.unread(self._person)}
        return None if self._rooms == truth else f"an inbox shows {self._rooms}, the database counts {truth}"


# ------------------------------------------------------------------ a client


class SocketClient:
    """One device. It connects, subscribes, restarts subscriptions, signs in as another person, vanishes, comes back."""

    def __init__(self, world: World, process: Process, person: UUID) -> None:
        self._world, self._process, self._faults = world, process, world.faults
        self._failure: Violation | None = None
        self._numbers: Iterator[int] = itertools.count(1)
        self._ended_for: dict[str, int] = {}
        self._reused: set[str] = set()
        self._connection: SimulatedConnection | None = None
        self._incoming: asyncio.Queue[Any]
        self._changed = asyncio.Event()
        self._revoked_at: float | None = None
        self._become(person)

    def _become(self, person: UUID) -> None:
        self.person, self._session = person, self._world.new_id()
        self._world.store.open_session(person, self._session)
        self.subscriptions: list[Any] = [RoomSubscription(self._world, room, person) for room in self._world.store.logs]
        self.subscriptions.append(InboxSubscription(self._world, person))

    def troubles(self) -> list[str]:
        if self._failure is not None:
            raise self._failure
        if self._world.store.sessions[self._session].revoked_at is not None:
            return ["a socket is open whose session was revoked"]
        return [trouble for one in self.subscriptions if (trouble := one.trouble())]

    def revoke(self) -> None:
        """Another process ends the session: this one finds out by looking."""
        self._world.store.sessions[self._session].revoked_at = now()

    async def run(self) -> None:
        while True:
            await self._connect_once()
            if self._world.store.sessions[self._session].revoked_at is not None:
                self._sign_in_again()
            await asyncio.sleep(self._faults.random.choice([0, 0.05, 0.5]) if self._faults.is_active else 0.1)

    def _sign_in_again(self) -> None:
        self._session = self._world.new_id()
        self._world.store.open_session(self.person, self._session)

    async def _connect_once(self) -> None:
        self._incoming, self._ended_for, self._reused = asyncio.Queue(), {}, set()
        self._connection = connection = SimulatedConnection(self._faults, self._on_text, self._changed.set)
        self._is_acknowledged = False
        scope = self._scope(connection)
        for message in ({"type": "websocket.connect"}, self._text(type="connection_init", payload=self._init())):
            self._incoming.put_nowait(message)
        serving = asyncio.create_task(
            self._process.sockets.serve(scope, self._incoming.get, connection.send), name="socket"
        )
        try:
            await self._use(connection, scope)
        finally:
            connection.vanish()
            self._incoming.put_nowait({"type": "websocket.disconnect"})
            await asyncio.wait([serving])
            for one in self.subscriptions:
                one.id = None
        with suppress(OSError):  # of a client that went before it was accepted, as the server ends it
            serving.result()

    def _scope(self, connection: SimulatedConnection) -> dict[str, Any]:
        extensions: dict[str, Any] = {ABORT: connection.abort}
        if self._faults.random.random() < 0.5:
            extensions[WRITE] = connection.write
        return {
            "type": "websocket",
            "scheme": "ws",
            "headers": [],
            "subprotocols": [SUBPROTOCOL],
            "client": ("192.0.2.1", 1),
            "extensions": extensions,
        }

    def _init(self) -> dict[str, Any]:
        resume: dict[str, str] = {}
        for one in self.subscriptions:
            if isinstance(one, RoomSubscription):
                one.on_connected()
                resume |= one.resume()
        return {"authorization": f"Bearer {self.person}:{self._session}", "resume": resume}

    async def _use(self, connection: SimulatedConnection, scope: dict[str, Any]) -> None:
        """Keep everything subscribed until the connection ends or the client has had enough of it."""
        loop, random = asyncio.get_running_loop(), self._faults.random
        until = loop.time() + random.choice([0, 0.01, 0.3, 2.0, 100.0])
        while not connection.gone.is_set() and (not self._faults.is_active or loop.time() < until):
            if self._is_acknowledged:
                self._subscribe_what_is_missing()
                if self._faults.happens(0.1):
                    await self._restart(random.choice(self.subscriptions))
                if self._faults.happens(0.03):
                    self._sign_in_as_another(scope)
            await self._wait(random.choice([0.001, 0.05, 0.3]) if self._faults.is_active else 3.0)

    async def _wait(self, seconds: float) -> None:
        """Until something has changed: an operation or the connection has ended."""
        self._changed.clear()
        timer = asyncio.get_running_loop().call_later(seconds, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()

    def _subscribe_what_is_missing(self) -> None:
        for one in self.subscriptions:
            if one.id is None and self._may_try(one):
                self._subscribe(one, str(next(self._numbers)))

    def _may_try(self, one: Any) -> bool:
        """A room that refused us is not asked again before somebody lets us in; a real client asks now and then."""
        return not isinstance(one, RoomSubscription) or str(self.person) in one.log.members

    def _subscribe(self, one: Subscription, id_: str) -> None:
        one.id = id_
        payload = {"query": one.document(), "variables": one.variables()}
        self._incoming.put_nowait(self._text(type="subscribe", id=id_, payload=payload))

    async def _restart(self, one: Subscription) -> None:
        """Complete it and subscribe anew under the same id, more than once if it must be."""
        for _ in range(self._faults.random.choice([1, 2, 3])):
            if one.id is None or isinstance(one, InboxSubscription):
                return
            self._reused.add(one.id)
            self._incoming.put_nowait(self._text(type="complete", id=one.id))
            self._subscribe(one, one.id)
            await asyncio.sleep(self._faults.random.choice([0, 0.0001, 0.01]))

    def _sign_in_as_another(self, scope: dict[str, Any]) -> None:
        """What a `login` over this socket does. Nothing that happens from now on is shown to the former person."""
        socket = scope["extensions"][LEAVE].__self__
        others = sorted({client.person for client in self._world.clients} - {self.person})
        if socket.is_over or socket._closed or socket._parting or not others or not self._incoming.empty():
            return  # what was asked for and not yet read would be the new person's
        former = [one.id for one in self.subscriptions if one.id]
        self._become(self._world.random.choice(others))
        self._ended_for.update(dict.fromkeys(former, next(self._world.ids)))
        login = socket._operations.begin("login", socket.viewer)
        socket.adopt(login, Actor(self.person, self._session, False, BEGINNING.replace(year=9000)))
        socket._operations.forget(login)

    # ------------------------------------------------------------------ what the server says

    @staticmethod
    def _text(**message: Any) -> dict[str, str]:
        return {"type": "websocket.receive", "text": json.dumps(message)}

    def _on_text(self, text: str) -> None:
        try:
            self._on_message(json.loads(text))
        except Violation as violation:
            self._failure = self._failure or violation

    def _on_message(self, message: dict[str, Any]) -> None:
        if message["type"] in ("connection_ack", "error", "complete"):
            self._changed.set()
        if message["type"] == "connection_ack":
            self._is_acknowledged = True
        elif message["type"] == "ping":
            self._incoming.put_nowait(self._text(type="pong"))
            self._learn_positions((message.get("payload") or {}).get("cursors", {}))
        elif message.get("id") in self._ended_for:
            self._check_former(message)
        elif one := next((one for one in self.subscriptions if one.id == message.get("id")), None):
            self._on_result(one, message)

    def _learn_positions(self, cursors: dict[str, str]) -> None:
        """Pings say where quiet streams are. Under an id that was used again a late one may mean the former stream."""
        for one in self.subscriptions:
            if one.id in cursors and one.id not in self._reused:
                one.advance(cursors[one.id])

    def _on_result(self, one: Any, message: dict[str, Any]) -> None:
        if message["type"] == "next":
            if data := message["payload"].get("data"):
                one.show(data)
        else:
            one.id = None
            if message["type"] == "error":
                one.on_error(message["payload"][0]["extensions"]["code"])

    def _check_former(self, message: dict[str, Any]) -> None:
        if message["type"] != "next":
            return
        for event in (message["payload"].get("data") or {}).values():
            is_fact = event and "at" in event and event["__typename"] not in ("StreamReady", "StreamEnded")
            if is_fact and id_of(event["at"]) > self._ended_for[message["id"]]:
                raise Violation("a stream of the person who was signed in before goes on")
