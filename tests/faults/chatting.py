"""Clients that record what they send and receive: senders with and without keys, room subscribers, inboxes."""

import asyncio
import itertools
import json
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, SEND, Json, default_tls_context
from tests.faults.history import Deliveries, History, Result, Send, Stored

PAUSE_SECONDS = 0.05
SEND_SECONDS = 10.0
"""Time after which a sender counts the outcome as unknown."""

SILENCE_SECONDS = 15.0
"""Time without a message after which a client drops its connection. The server pings more often than that."""

INBOX = (
    "subscription Inbox { inboxEvents { __typename ... on InboxSnapshot { rooms { roomId unreadCount lastReadSeq } } "
    "... on UnreadChanged { unread { roomId unreadCount lastReadSeq } } } }"
)


class Address(Protocol):
    """Where clients connect: a server process, or a proxy."""

    @property
    def url(self) -> str: ...

    @property
    def ws_url(self) -> str: ...


@dataclass
class Setup:
    """What a client needs: the servers, its access token, the room and a cursor."""

    servers: Sequence[Address]
    token: str
    room_id: str
    cursor: str


# ------------------------------------------------------------------ sending


async def send_on(setup: Setup, history: History, name: str, keyed: bool) -> None:
    """Send messages one after another until cancelled. Only a send with a key is retried."""
    headers = {"authorization": f"Bearer {setup.token}"}
    async with httpx.AsyncClient(timeout=SEND_SECONDS, headers=headers, verify=default_tls_context()) as http:
        number = 0
        while True:
            number += 1
            send = Send(f"{name}.{number}", str(uuid.uuid4()) if keyed else None)
            history.sends.append(send)
            while not await _try(http, random.choice(setup.servers), setup.room_id, send) and keyed:  # noqa: ASYNC110 (it has to be polled)
                await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)


async def _try(http: httpx.AsyncClient, server: Address, room_id: str, send: Send) -> bool:
    """Send once. Whether the server acknowledged it."""
    send.tries += 1
    sent = {"roomId": room_id, "body": send.body, **({"clientMessageId": send.key} if send.key else {})}
    try:
        answer = (await http.post(f"{server.url}/graphql", json={"query": SEND, "variables": {"input": sent}})).json()
    except (httpx.HTTPError, ValueError):
        return False
    return _is_acknowledged(send, answer)


def _is_acknowledged(send: Send, answer: Json) -> bool:
    errors = answer.get("errors") or answer["data"]["sendMessage"]["errors"]
    assert all(error.get("retryable", error.get("extensions", {}).get("retryable")) for error in errors), answer
    if not errors:
        send.result = Result.ACKNOWLEDGED
    return not errors


async def send_over_socket(setup: Setup, history: History, name: str) -> None:
    """Send messages with keys one after another over a socket, until cancelled. Each is repeated until it is
    acknowledged, over new sockets where one was lost."""
    sends = (Send(f"{name}.{number}", str(uuid.uuid4())) for number in itertools.count(1))
    send = next(sends)
    history.sends.append(send)

    async def talk(ws: ClientConnection) -> None:
        nonlocal send
        await initialise(ws, {"authorization": setup.token})
        for id_ in itertools.count(1):
            send.tries += 1
            sent = {"roomId": setup.room_id, "body": send.body, "clientMessageId": send.key}
            await start(ws, str(id_), SEND, {"input": sent})
            async with asyncio.timeout(SEND_SECONDS):
                message = await receive(ws)
                if message["type"] == "next":
                    assert (await receive(ws))["type"] == "complete"
            answer = message["payload"] if message["type"] == "next" else {"errors": message["payload"]}
            if _is_acknowledged(send, answer):
                send = next(sends)
                history.sends.append(send)
            await asyncio.sleep(PAUSE_SECONDS)

    await stay_connected(setup.servers, talk)


# ------------------------------------------------------------------ sockets


async def stay_connected(servers: Sequence[Address], listen: Callable[[ClientConnection], Awaitable[None]]) -> None:
    """Reconnect whenever a connection ends or is silent for too long, until cancelled."""
    while True:
        with suppress(ConnectionClosed, InvalidHandshake, OSError, EOFError, TimeoutError):
            protocols = [Subprotocol("graphql-transport-ws")]
            url = random.choice(servers).ws_url
            async with connect(
                url, subprotocols=protocols, ping_interval=None, close_timeout=0.2, open_timeout=5
            ) as ws:
                await listen(ws)
        await asyncio.sleep(PAUSE_SECONDS)


async def subscribe(ws: ClientConnection, init: Json, document: str, variables: Json) -> None:
    await initialise(ws, init)
    await start(ws, "1", document, variables)


async def initialise(ws: ClientConnection, init: Json) -> None:
    await ws.send(json.dumps({"type": "connection_init", "payload": init}))
    while (await receive(ws))["type"] != "connection_ack":
        pass


async def start(ws: ClientConnection, id_: str, document: str, variables: Json) -> None:
    payload = {"query": document, "variables": variables}
    await ws.send(json.dumps({"type": "subscribe", "id": id_, "payload": payload}))


async def receive(ws: ClientConnection) -> Json:
    """The next message that is not a ping."""
    while True:
        async with asyncio.timeout(SILENCE_SECONDS):  # `wait_for` of Python 3.11 may swallow a cancellation
            message: Json = json.loads(await ws.recv())
        if message["type"] != "ping":
            return message
        await ws.send('{"type":"pong"}')


@dataclass
class Listener:
    """Subscribes to a room and resumes from a cursor: by the subscription's `after`, or by the connection's
    resume map."""

    setup: Setup
    deliveries: Deliveries
    document: str
    by_map: bool
    cursor: str = ""

    async def run(self) -> None:
        self.cursor = self.setup.cursor
        await stay_connected(self.setup.servers, self._listen)

    async def _listen(self, ws: ClientConnection) -> None:
        cursor = await self._current_cursor() if not self.cursor else self.cursor
        self.cursor = cursor
        init: Json = {"authorization": self.setup.token}
        if self.by_map:
            init["resume"] = {self.setup.room_id: cursor}
        after = {} if self.by_map else {"after": cursor}
        await subscribe(ws, init, self.document, {"roomId": self.setup.room_id, **after})
        while (message := await receive(ws))["type"] == "next":
            self._on_event(message["payload"]["data"])
        self._check_end(message)

    def _on_event(self, data: Json) -> None:
        [event] = data.values()
        if event.get("recovered") is False:
            self.deliveries.position_lost()
        self.cursor = event["cursor"]
        if message := event.get("message"):
            self.deliveries.show(message["seq"], message["body"])

    def _check_end(self, message: Json) -> None:
        codes = [error["extensions"]["code"] for error in message.get("payload", [])]
        if codes == ["RESUME_EXPIRED"]:
            self.deliveries.position_lost()
            self.cursor = ""
        assert codes == ["RESUME_EXPIRED"] or all(
            error["extensions"]["retryable"] for error in message.get("payload", [])
        ), message

    async def _current_cursor(self) -> str:
        """The current cursor of the room, for a client whose position has expired."""
        document = "query Q($id: ID!) { room(id: $id) { streamCursor } }"
        data = await query(random.choice(self.setup.servers), self.setup.token, document, id=self.setup.room_id)
        return str(data["room"]["streamCursor"])


@dataclass
class InboxClient:
    """Keeps the unread count of each room from the events of the inbox."""

    setup: Setup
    unread: dict[str, Any] = field(default_factory=dict)
    is_open: bool = False

    async def run(self) -> None:
        await stay_connected(self.setup.servers, self._listen)

    async def _listen(self, ws: ClientConnection) -> None:
        self.is_open = False
        await subscribe(ws, {"authorization": self.setup.token}, INBOX, {})
        while (message := await receive(ws))["type"] == "next":
            [event] = message["payload"]["data"].values()
            if event["__typename"] == "InboxSnapshot":
                self.unread, self.is_open = {room["roomId"]: room for room in event["rooms"]}, True
            elif event["__typename"] == "UnreadChanged":
                self.unread[event["unread"]["roomId"]] = event["unread"]


async def query(server: Address, token: str, document: str, **variables: Any) -> Json:
    """The data of a query. Raises OSError if the response has none."""
    headers = {"authorization": f"Bearer {token}"}
    try:
        async with httpx.AsyncClient(timeout=SEND_SECONDS, headers=headers, verify=default_tls_context()) as http:
            answer = await http.post(f"{server.url}/graphql", json={"query": document, "variables": variables})
        data: Json | None = answer.json().get("data")
    except (httpx.HTTPError, ValueError) as error:
        raise OSError(f"no answer: {error!r}") from error
    if data is None:
        raise OSError(f"no answer: {answer.text}")
    return data


def listeners(setup: Setup, history: History, count: int) -> list[Listener]:
    """Clients of both streams, with both ways to resume."""
    kinds = [(ROOM_MESSAGES, False), (ROOM_EVENTS, False), (ROOM_MESSAGES, True), (ROOM_EVENTS, True)]
    created = []
    for number in range(count):
        document, by_map = kinds[number % len(kinds)]
        stream, way = "events" if document is ROOM_EVENTS else "messages", "map" if by_map else "after"
        name = f"listener {number} of {stream} by {way}"
        history.deliveries.append(Deliveries(name))
        created.append(Listener(setup, history.deliveries[-1], document, by_map))
    return created


# ------------------------------------------------------------------ the end of a test


async def stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel the tasks. Raises what one of them raised."""
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def stored(fetch: Callable[..., Awaitable[list[asyncpg.Record]]], room_id: str) -> list[Stored]:
    """The room's messages in the database, once no more are stored: a send without a response may be late."""
    sql = "SELECT seq, body FROM messages WHERE room_id = $1 AND kind = 'USER' ORDER BY seq"
    before: list[Stored] | None = None
    while True:
        rows = await fetch(sql, UUID(room_id.removeprefix("room_")))
        log = [(row["seq"], row["body"]) for row in rows]
        if log == before:
            return log
        before = log
        await asyncio.sleep(1)


def have_all(listener: Listener, log: list[Stored]) -> bool:
    last = listener.deliveries.segments[-1]
    return bool(last) and last[-1] == log[-1]
