"""Subscriptions, with faults at every message between the app and the database. A client that resumes misses nothing.

The client does what the documentation tells clients to do: when its connection ends, or its subscription ends with a
retryable error, it reconnects and resumes from the newest cursor that it has received.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from roomcast.core.event_log import parse_cursor
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, ClientSubscription, Json, SocketClient, UserClient
from tests.faults.conftest import Lanes
from tests.faults.lanes import Lane, end
from tests.faults.proxy import Fault
from tests.faults.running import FAULT_TYPES, FaultType, check_service, post, retried
from tests.faults.sweep import Sweep
from tests.faults.trials import people, room, shared_room

STREAM_SECONDS = 30.0
"""Within this time a resuming client has received what it missed and what was sent afterwards."""

MISSED = 3
INBOX = (
    "subscription Inbox { inboxEvents { __typename "
    "... on InboxSnapshot { rooms { roomId unreadCount } } ... on UnreadChanged { unread { roomId unreadCount } } } }"
)

SUBSCRIBING = [choice for choice in FAULT_TYPES if choice[0] in (FaultType.CUT, FaultType.MUTE, FaultType.STALL)]


@dataclass
class Client:
    """A client of one stream. It resumes by the subscription's `after` or by the connection's resume map."""

    lane: Lane
    person: UserClient
    room_id: str
    document: str
    by_map: bool
    cursor: str
    seen: list[int] = field(default_factory=list)

    async def run(self, until: Callable[[], bool]) -> None:
        while not until():
            connection = await connected(self.lane, self.person, **self._payload())
            try:
                await self._listen(connection, until)
            finally:
                await end(connection)

    def _payload(self) -> Json:
        return {"resume": {self.room_id: self.cursor}} if self.by_map else {}

    async def _listen(self, connection: SocketClient, until: Callable[[], bool]) -> None:
        """Return when the stream or the connection ends, or when `until` is true."""
        after = {} if self.by_map else {"after": self.cursor}
        subscription = await connection.subscribe(self.document, roomId=self.room_id, **after)
        while not until():
            message = await next_or_closed(connection, subscription)
            if message is None or message["type"] == "complete":
                return
            if message["type"] == "error":
                retryable = [error["extensions"]["retryable"] for error in message["payload"]]
                assert all(retryable), message
                return
            self._on_next(message["payload"])

    def _on_next(self, payload: Json) -> None:
        assert "errors" not in payload, payload
        [event] = payload["data"].values()
        assert event.get("recovered") is not False, "the position was not honoured"
        self.cursor = event["cursor"]
        if event.get("__typename") != "StreamReady":
            self.seen.append(parse_cursor(event["cursor"]).seq)


async def connected(lane: Lane, person: UserClient, **payload: Any) -> SocketClient:
    """An open socket; retries until it succeeds."""
    while True:
        try:
            return await lane.new_connection(person, **payload)
        except ConnectionError:
            await asyncio.sleep(0.05)


async def next_or_closed(connection: SocketClient, subscription: ClientSubscription) -> Json | None:
    """The next protocol message; None when the connection is over."""
    receiving = asyncio.ensure_future(subscription._inbox.get())
    try:
        await asyncio.wait([receiving, connection.reading], return_when=asyncio.FIRST_COMPLETED)
        return receiving.result() if receiving.done() else None
    finally:
        receiving.cancel()


async def resume(lane: Lane, document: str, by_map: bool, fault: Fault | None) -> bool:
    """Miss some messages, resume with the fault armed, and receive one more. Returns whether the fault has fired."""
    ann, bob = await people(lane)
    room_id = await retried(lambda: shared_room(lane))
    page = await retried(lambda: ann.execute("query Q($id: ID!) { room(id: $id) { streamCursor } }", id=room_id))
    for _ in range(MISSED):
        await post(ann, room_id, lane.name("missed"))
    client = Client(lane, bob, room_id, document, by_map, page["room"]["streamCursor"])
    start = parse_cursor(client.cursor).seq
    expected = [start + 1 + number for number in range(MISSED + 1)]
    lane.proxy.arm(fault)
    running = asyncio.create_task(client.run(lambda: len(client.seen) >= len(expected)))
    try:
        await until_open(lane, running)
        fired = lane.fired = lane.proxy.fired
        lane.proxy.arm(None)
        await post(ann, room_id, lane.name("afterwards"))
        await asyncio.wait_for(running, STREAM_SECONDS)
    except TimeoutError:
        raise AssertionError(f"resumed after {start} and was shown {client.seen}, not {expected}") from None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert client.seen == expected, f"resumed after {start} and was shown {client.seen}, not {expected}"
    await check_lane(lane)
    return fired is not None


async def check_lane(lane: Lane) -> None:
    """The fault has left no trace: no open transaction, and the app works."""
    await lane.settle()
    assert lane.pooled_in_transaction() == 0
    await check_service(lane)


async def until_open(lane: Lane, running: "asyncio.Task[None]") -> None:
    """Wait until a stream is open. It may have to wait for a database that does not respond."""
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            while lane.app.roomcast.hub.reader_count == 0 and not running.done():  # noqa: ASYNC110 (it has to be polled)
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)  # the replay is read after the stream is open
    except TimeoutError:
        raise AssertionError("the stream was never open") from None


STREAMS = {
    "roomMessages, after": (ROOM_MESSAGES, False),
    "roomMessages, map": (ROOM_MESSAGES, True),
    "roomEvents, after": (ROOM_EVENTS, False),
    "roomEvents, map": (ROOM_EVENTS, True),
}


@pytest.mark.faults
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", STREAMS)
async def test_a_resuming_client_misses_nothing_with_a_fault_at_any_message(
    name: str, lanes: Lanes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    document, by_map = STREAMS[name]

    async def trial(lane: Lane, fault: Fault | None, _fault_type: FaultType | None) -> bool:
        return await resume(lane, document, by_map, fault)

    await Sweep(lanes, SUBSCRIBING, trial).run()


async def open_inbox(lane: Lane, fault: Fault | None) -> bool:
    """Open an inbox with the fault armed and check its unread counts. Returns whether the fault has fired."""
    ann, bob = await people(lane)
    room_id = await retried(lambda: room(lane, bob))
    await post(ann, room_id, "unread")
    lane.proxy.arm(fault)
    connection = await connected(lane, bob)
    try:
        subscription = await connection.subscribe(INBOX)
        first = await asyncio.wait_for(next_or_closed(connection, subscription), STREAM_SECONDS)
        fired = lane.fired = lane.proxy.fired
        lane.proxy.arm(None)
        if first is not None and first["type"] == "next":
            await check_inbox(lane, subscription, room_id, first["payload"]["data"]["inboxEvents"])
    finally:
        await end(connection)
    await check_lane(lane)
    return fired is not None


async def check_inbox(lane: Lane, subscription: ClientSubscription, room_id: str, snapshot: Json) -> None:
    ann, _ = await people(lane)
    shown = {room["roomId"]: room["unreadCount"] for room in snapshot["rooms"]}
    assert shown[room_id] == 1
    await post(ann, room_id, "more")
    expected = {"roomId": room_id, "unreadCount": 2}
    async with asyncio.timeout(STREAM_SECONDS):
        event = await subscription.next_event()
        while expected not in (event.get("unread"), *event.get("rooms", ())):  # an outage brings a new snapshot
            event = await subscription.next_event()


@pytest.mark.faults
@pytest.mark.asyncio(loop_scope="session")
async def test_an_inbox_opens_or_reports_an_error_with_a_fault_at_any_message(
    lanes: Lanes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    async def trial(lane: Lane, fault: Fault | None, _fault_type: FaultType | None) -> bool:
        return await open_inbox(lane, fault)

    await Sweep(lanes, SUBSCRIBING, trial).run()
