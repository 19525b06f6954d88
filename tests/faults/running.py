"""Runs one trial with one fault, then checks the invariants that hold for every response."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

import httpx

from roomcast.core.event_log import parse_cursor
from tests.api_clients import ROOM_EVENTS, ClientSubscription, GraphQLErrors, Json, SocketClient, UserClient
from tests.delivery.resuming_clients import FULL
from tests.faults.lanes import Lane, end
from tests.faults.proxy import ROUND_TRIPS, Fault, Kind, Side
from tests.faults.trials import Trial, document, people, shared_room

T = TypeVar("T")

ANSWER_SECONDS = 20.0
"""Within this time each operation gets a response, or its connection is closed. Several short timeouts fit in."""

WITNESS_SECONDS = 10.0
RETRIES = 5
NEWEST = "query Q($id: ID!) { messages(roomId: $id, last: 1) { nodes { body } } }"


class FaultType(StrEnum):
    """The fault at the chosen message."""

    CUT = "cut"
    MUTE = "mute"
    STALL = "stall"
    CANCEL = "cancel"
    """The client sends `complete` for the operation while the message is under way."""
    HANG_UP = "hang up"
    """The client of an HTTP request closes its connection."""


RESPONSE_ENDS = frozenset("ZTn")
"""ReadyForQuery and the responses to a Flush: the messages that a waiting client reacts to."""

RESPONSE_MESSAGES = None if FULL else RESPONSE_ENDS
"""Where within one response a connection is cut makes no difference to the app. The long form tries every message."""

FAULT_TYPES: list[tuple[FaultType, Side, frozenset[str] | None]] = [
    (FaultType.CUT, Side.BACKEND, RESPONSE_MESSAGES),
    (FaultType.CUT, Side.FRONTEND, ROUND_TRIPS),
    (FaultType.MUTE, Side.BACKEND, RESPONSE_ENDS),
    (FaultType.MUTE, Side.FRONTEND, ROUND_TRIPS),
    (FaultType.STALL, Side.BACKEND, RESPONSE_ENDS),
    (FaultType.CANCEL, Side.BACKEND, RESPONSE_MESSAGES),
    (FaultType.CANCEL, Side.FRONTEND, ROUND_TRIPS),
    *(
        [(FaultType.HANG_UP, Side.BACKEND, RESPONSE_ENDS), (FaultType.HANG_UP, Side.FRONTEND, ROUND_TRIPS)]
        if FULL
        else []
    ),
]
"""Each fault with the messages at which it makes a difference."""

KINDS = {
    FaultType.CUT: Kind.CUT,
    FaultType.MUTE: Kind.MUTE,
    FaultType.STALL: Kind.STALL,
    FaultType.CANCEL: Kind.CALL,
    FaultType.HANG_UP: Kind.CALL,
}


@dataclass
class Outcome:
    """`answer`: the payload of a response without top-level errors. Without it the outcome is unknown."""

    answer: Json | None = None
    errors: list[Json] = field(default_factory=list)

    @property
    def is_acknowledged(self) -> bool:
        return self.answer is not None and not self.errors


def outcome_of(answer: Json) -> Outcome:
    if "errors" in answer:
        return Outcome(errors=[{"code": e["extensions"]["code"], **e["extensions"]} for e in answer["errors"]])
    [payload] = answer["data"].values()
    return Outcome(payload, payload["errors"])


# ------------------------------------------------------------------ sending


async def send(lane: Lane, name: str, trial: Trial, fault: Fault | None, fault_type: FaultType | None) -> Outcome:
    """Send the mutation with the fault armed."""
    if fault_type is FaultType.HANG_UP:
        return await _send_over_http(lane, name, trial, fault)
    connection = await (lane.connection(trial.actor) if trial.actor.token else lane.new_connection(trial.actor))
    try:
        return await _send_over_socket(lane, connection, name, trial, fault)
    finally:
        if not trial.actor.token:  # a sign-in belongs to this socket from now on
            await end(connection)


async def _send_over_socket(
    lane: Lane, connection: SocketClient, name: str, trial: Trial, fault: Fault | None
) -> Outcome:
    subscription: ClientSubscription | None = None

    async def cancel() -> None:
        """Send `complete` and return when the server has handled it. It handles the messages of a socket in order."""
        if subscription is not None and not connection.reading.done():
            await subscription.stop()
            await connection.send(type="ping")
            while (await connection.next_control())["type"] != "pong":
                pass
            answered.cancel()

    lane.proxy.arm(fault, cancel)
    variables = {"input": trial.variables} if trial.variables else {}
    subscription = await connection.subscribe(document(name), **variables)
    answered = asyncio.ensure_future(first_message(connection, subscription))
    try:
        await asyncio.wait([answered], timeout=ANSWER_SECONDS)
        if answered.cancelled():
            return Outcome()
        assert answered.done(), "the operation was never answered"
        return answered.result()
    finally:
        answered.cancel()
        lane.fired = lane.proxy.fired


async def first_message(connection: SocketClient, subscription: ClientSubscription) -> Outcome:
    """The outcome in the response; an unknown one if the server closes the socket instead."""
    receiving = asyncio.ensure_future(subscription.next_message())
    try:
        await asyncio.wait([receiving, connection.reading], return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            return Outcome()
        message = receiving.result()
    finally:
        receiving.cancel()
    return outcome_of({"errors": message["payload"]} if message["type"] == "error" else message["payload"])


async def _send_over_http(lane: Lane, name: str, trial: Trial, fault: Fault | None) -> Outcome:
    async def hang_up() -> None:
        request.cancel()
        await asyncio.wait([request])
        await asyncio.sleep(0.01)  # the server learns of it in its own event loop

    lane.proxy.arm(fault, hang_up)
    variables = {"input": trial.variables} if trial.variables else {}
    request = asyncio.ensure_future(trial.actor.post({"query": document(name), "variables": variables}))
    try:
        answer = await asyncio.wait_for(request, ANSWER_SECONDS)
    except (asyncio.CancelledError, httpx.TransportError):
        return Outcome()
    finally:
        lane.fired = lane.proxy.fired
    return outcome_of(answer.json())


# ------------------------------------------------------------------ checking


@asynccontextmanager
async def check_delivery(lane: Lane, room_id: str | None) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Subscribe to the room during the block. The check that it yields fails unless the subscriber gets all stored
    events."""
    if room_id is None:
        yield no_check
        return
    ann, _ = await people(lane)
    connection = await lane.connection(ann)
    subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
    start = seq_of(await subscription.next_event())

    async def check() -> None:
        stored = [seq for seq, _ in await lane.log_of(room_id) if seq > start]
        seen: list[int] = []
        while seen != stored:
            try:
                seen.append(seq_of(await asyncio.wait_for(subscription.next_event(), WITNESS_SECONDS)))
            except TimeoutError:
                raise AssertionError(f"a listener has seen {seen} of the events {stored}") from None
            assert seen == stored[: len(seen)], f"a listener has seen {seen}, stored are {stored}"

    yield check
    if not connection.reading.done():
        await subscription.stop()


async def no_check() -> None:
    """A check without a room."""


def seq_of(event: Json) -> int:
    return parse_cursor(event["cursor"]).seq


async def check_published(lane: Lane) -> None:
    """Published events are stored, and each was published once."""
    events = [event for event in lane.published if event.seq > 0 and event.kind != "ROOM_DELETED"]
    numbers = [(event.room_id, event.seq) for event in events]
    assert len(numbers) == len(set(numbers)), f"published twice: {events}"
    for event in events:
        stored = await lane.admin.fetchval(
            "SELECT kind FROM room_events WHERE room_id = $1 AND seq = $2", event.room_id, event.seq
        )
        assert stored == event.kind, f"published and not stored: {event}"


async def check_service(lane: Lane) -> None:
    """A write is acknowledged and stored, and a read after it returns it."""
    ann, _ = await people(lane)
    room_id, body = await shared_room(lane), lane.name("afterwards")
    seq = await post(ann, room_id, body)
    stored = await lane.count("SELECT count(*) FROM messages WHERE body = $1 AND seq = $2", body, seq)
    assert stored == 1, "a message was acknowledged afterwards and is not stored"
    page = await retried(lambda: ann.execute(NEWEST, id=room_id))
    assert page["messages"]["nodes"] == [{"body": body}], "a read shows an older state than was acknowledged"


async def post(person: UserClient, room_id: str, body: str) -> int:
    """Send a message while no fault is armed, and return its sequence number."""
    key = str(uuid.uuid4())
    sent = await retried(lambda: person.send(room_id, body, clientMessageId=key))
    assert sent["errors"] == [], sent
    return int(sent["message"]["seq"])


async def retried(attempt: Callable[[], Awaitable[T]]) -> T:
    """The result of the first of three attempts that succeeds: the database works, but this machine may be slow."""
    for _ in range(2):
        try:
            return await attempt()
        except GraphQLErrors:
            pass
    return await attempt()


async def check_effect(lane: Lane, name: str, trial: Trial, outcome: Outcome) -> None:
    """An acknowledged mutation is stored. Whatever the response, it took effect at most once."""
    for error in outcome.errors:
        assert error["retryable"], f"refused with an error that is not retryable: {error}"
    if trial.is_keyed and not outcome.is_acknowledged:
        outcome = await repeat(lane, name, trial)
    if trial.effect is None:
        return
    count = await lane.count(trial.effect, *trial.arguments)
    assert count <= 1, f"it took effect {count} times"
    assert count == 1 or not outcome.is_acknowledged, "it was acknowledged and is not stored"


async def repeat(lane: Lane, name: str, trial: Trial) -> Outcome:
    """Send the same mutation without a fault until it is acknowledged."""
    fired = lane.fired
    for _ in range(RETRIES):
        outcome = await send(lane, name, trial, None, None)
        lane.fired = fired
        if outcome.is_acknowledged:
            return outcome
    raise AssertionError(f"repeated and never acknowledged: {outcome}")


async def run(lane: Lane, name: str, trial: Trial, fault: Fault | None, fault_type: FaultType | None) -> bool:
    """Run one trial. Returns whether the fault has fired: it has not if the operation has fewer messages."""
    lane.published.clear()
    lane.fired = None
    async with check_delivery(lane, trial.room_id) as check_listener:
        outcome = await send(lane, name, trial, fault, fault_type)
        fired = lane.fired
        await lane.settle()
        lane.proxy.arm(None)
        assert lane.pooled_in_transaction() == 0, "a connection in the pool is inside a transaction"
        await check_effect(lane, name, trial, outcome)
        await check_published(lane)
        await check_service(lane)
        await check_listener()
    return fired is not None
