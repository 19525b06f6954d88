"""Clients of the simulated sockets: what they subscribe to, and how they connect, sign in, restart and leave."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from roomcast.api.websocket.connection import ConnectionState
from roomcast.api.websocket.protocol import SUBPROTOCOL
from roomcast.core import event_log
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.ids import global_id
from roomcast.server.extensions import ABORT, LEAVE, WRITE
from tests.simulation.connection import SimulatedConnection
from tests.simulation.database import BEGINNING, id_of
from tests.simulation.loop import Violation
from tests.simulation.truth import Ledger

if TYPE_CHECKING:
    from tests.simulation.sockets import Process, World

MESSAGES = "subscription($room: ID!, $after: Cursor) { %s: roomMessages(roomId: $room, after: $after) { cursor } }"
EVENTS = """subscription($room: ID!, $after: Cursor) { %s: roomEvents(roomId: $room, after: $after) {
  __typename cursor at ... on StreamReady { recovered } ... on StreamEnded { reason } } }"""
INBOX = """subscription { inboxEvents { __typename
  ... on InboxSnapshot { rooms { roomId unreadCount } totalUnreadThreads }
  ... on UnreadChanged { unread { roomId unreadCount } }
  ... on RoomListChanged { roomId change }
  ... on ThreadUnreadChanged { totalUnreadThreads } } }"""

GENERATIONS = 16


def every_document() -> list[str]:
    rooms = [document % f"g{number}" for document in (MESSAGES, EVENTS) for number in range(GENERATIONS)]
    return [*rooms, INBOX]


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

    def __init__(self, world: "World", room_id: UUID, person: UUID) -> None:
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
        self.generation = (self.generation + 1) % GENERATIONS
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
        cursor, kind = event_log.parse_cursor(event["cursor"]), event.get("__typename")
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
        cursor = event_log.parse_cursor(text)
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

    def __init__(self, world: "World", person: UUID) -> None:
        self._store, self._person = world.store, person
        self._rooms: dict[str, int] | None = None
        self._unread_threads = 0

    def document(self) -> str:
        self._rooms = None
        return INBOX

    def show(self, data: dict[str, Any]) -> None:
        event = data["inboxEvents"]
        self._unread_threads = event.get("totalUnreadThreads", self._unread_threads)
        if event["__typename"] == "InboxSnapshot":
            self._rooms = {room["roomId"]: room["unreadCount"] for room in event["rooms"]}
        elif self._rooms is None:
            raise Violation("an inbox began without a snapshot")
        elif event["__typename"] == "UnreadChanged":
            self._rooms[event["unread"]["roomId"]] = event["unread"]["unreadCount"]
        elif event["__typename"] == "RoomListChanged" and event["change"] == "REMOVED":
            self._rooms.pop(event["roomId"], None)

    def trouble(self) -> str | None:
        truth = {global_id("room", one.room_id): one.unread_count for one in self._store.unread(self._person)}
        if self._rooms != truth:
            return f"an inbox shows {self._rooms}, the database counts {truth}"
        unread_threads = len(self._store.unread_threads(self._person))
        if self._unread_threads == unread_threads:
            return None
        return f"an inbox shows {self._unread_threads} unread threads, the database counts {unread_threads}"


# ------------------------------------------------------------------ a client


class SocketClient:
    """One device. It connects, subscribes, restarts subscriptions, signs in as another person, vanishes, comes back."""

    def __init__(self, world: "World", process: "Process", person: UUID) -> None:
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
        """Complete it and subscribe again under the same id, up to three times."""
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
        if socket.state >= ConnectionState.CLOSING or not others or not self._incoming.empty():
            return  # what was asked for and not yet read would be the new person's
        former = [one.id for one in self.subscriptions if one.id]
        self._become(self._world.random.choice(others))
        self._ended_for.update(dict.fromkeys(former, next(self._world.ids)))
        login = socket.operations.begin("login", socket.viewer)
        socket.adopt(login, Actor(self.person, self._session, False, BEGINNING.replace(year=9000)))
        socket.operations.forget(login)

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
