"""graphql-transport-ws, rule by rule: PROTOCOL.md and the reference implementation's own checks."""

import json
from typing import Any

import pytest

from tests.api_clients import ROOM_MESSAGES, SocketClient, UserClient
from tests.running_app import RunningApp

ASK = {"query": "{ __typename }"}
LONG = "x" * 1000


async def close_of(app: RunningApp, *messages: Any, acknowledged: bool = True) -> tuple[int | None, str | None]:
    """How the server ends a socket that says these things."""
    async with SocketClient(app.ws_url) as wire:
        if acknowledged:
            await wire.init()
        for message in messages:
            await wire.ws.send(message if isinstance(message, bytes) else json.dumps(message))
        return await wire.closed()


# ------------------------------------------------------------------ opening


@pytest.mark.parametrize("subprotocol", [None, "graphql-ws", "something-else"])
async def test_another_subprotocol_is_not_acceptable(app: RunningApp, subprotocol: str | None) -> None:
    async with SocketClient(app.ws_url, subprotocol=subprotocol) as wire:
        assert await wire.closed() == (4406, "Subprotocol not acceptable")


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"any": [1]}}])
async def test_a_connection_is_acknowledged(app: RunningApp, payload: dict[str, Any]) -> None:
    async with SocketClient(app.ws_url) as wire:
        await wire.send(type="connection_init", **payload)
        assert (await wire.next_control())["type"] == "connection_ack"


async def test_a_second_init_is_one_too_many_even_before_the_acknowledgement(app: RunningApp) -> None:
    init = {"type": "connection_init"}
    assert await close_of(app, init) == (4429, "Too many initialisation requests")
    assert (await close_of(app, init, init, acknowledged=False))[0] == 4429


async def test_nothing_is_run_before_the_acknowledgement(app: RunningApp) -> None:
    subscribe = {"type": "subscribe", "id": "1", "payload": ASK}
    assert await close_of(app, subscribe, acknowledged=False) == (4401, "Unauthorized")


# ------------------------------------------------------------------ malformed messages of every shape

SUBSCRIBE = {"type": "subscribe", "id": "1", "payload": ASK}
NO_OBJECTS: list[Any] = [1, "x", [], True]
NO_STRINGS: list[Any] = [1, [], {}, True]


def changed(name: str, *values: Any) -> list[Any]:
    """A subscribe message whose payload has each of these under that name."""
    return [{**SUBSCRIBE, "payload": {**ASK, name: value}} for value in values]


MALFORMED: list[Any] = [
    *(1, 1.5, True, None, "text", [], [1], [SUBSCRIBE], {}),
    *[{"type": kind} for kind in [*NO_STRINGS, None, "", "nonsense", LONG, "next", "error", "connection_ack", "start"]],
    *[{"type": kind, "payload": wrong} for kind in ["connection_init", "ping", "pong"] for wrong in NO_OBJECTS],
    *[{**SUBSCRIBE, "id": id_} for id_ in [*NO_STRINGS, None, "", "x" * 129]],
    *[{**SUBSCRIBE, "payload": payload} for payload in [*NO_OBJECTS, None, {}]],
    *changed("query", None, *NO_STRINGS),
    *changed("variables", *NO_OBJECTS),
    *changed("extensions", *NO_OBJECTS, {"persistedQuery": 1}, {"persistedQuery": {"sha256Hash": 1}}),
    *changed("operationName", *NO_STRINGS),
    *[{"type": "complete", "id": id_} for id_ in [*NO_STRINGS, None, ""]],
    *[{"type": "subscribe", "id": "1"}, {"type": "subscribe", "payload": ASK}, {"type": "complete"}],
    *[b"", b"{", b"\xff", b"null", b"[" * 200_000],  # binary frames, JSON or not
]


async def test_a_malformed_message_closes_with_4400_and_a_reason_that_fits(app: RunningApp) -> None:
    for message in MALFORMED:
        code, reason = await close_of(app, message)
        assert code == 4400, message
        assert reason, message
        assert len(reason.encode()) <= 123, message


async def test_malformed_messages_leave_nothing_and_hurt_nobody(app: RunningApp, ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with ann.connect() as good:
        watching = await good.subscribe(ROOM_MESSAGES, roomId=den)
        await app.wait_for_streams(1)
        for message in MALFORMED[:20]:
            await close_of(app, message)
        await ann.send_messages(den, "still here")
        assert (await watching.next_event())["message"]["body"] == "still here"


# ------------------------------------------------------------------ pings


async def test_pings_are_echoed_at_any_time_and_pongs_ignored(app: RunningApp) -> None:
    async with SocketClient(app.ws_url) as wire:
        await wire.send(type="ping")
        assert await wire.next_control() == {"type": "pong"}
        await wire.init()
        await wire.send(type="pong", payload={"nobody": "asked"})
        await wire.send(type="ping", payload={"n": 1})
        assert await wire.next_control() == {"type": "pong", "payload": {"n": 1}}


# ------------------------------------------------------------------ operations


async def test_a_query_is_answered_once_and_completed(app: RunningApp) -> None:
    async with SocketClient(app.ws_url) as wire:
        await wire.init()
        for _ in range(2):  # the id is free again at once
            await wire.send(**SUBSCRIBE)
            assert (await wire.next_message("1"))["payload"] == {"data": {"__typename": "Query"}}
            assert await wire.next_message("1") == {"id": "1", "type": "complete"}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": ""}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { __typename }", "operationName": "B"}, "OPERATION_NOT_FOUND"),
        ({"query": "query A { __typename } query B { __typename }"}, "OPERATION_NOT_FOUND"),
        ({"query": "query ($id: ID!) { user(id: $id) { id } }"}, "BAD_USER_INPUT"),
        ({"query": "query ($n: Int) { rooms(first: $n) { totalCount } }", "variables": {"n": "x"}}, "BAD_USER_INPUT"),
        ({"query": "subscription { roomMessages(roomId: 1) { cursor } }"}, "UNAUTHENTICATED"),
        ({"query": "{ " + "a: __typename " * 99 + "}"}, "QUERY_TOO_COMPLEX"),
        ({"query": "{ __schema { types { name } } } " + "#" * 30_000}, "QUERY_TOO_COMPLEX"),
    ],
)
async def test_a_bad_operation_is_one_error_and_the_socket_lives(
    app: RunningApp, payload: dict[str, Any], code: str
) -> None:
    async with SocketClient(app.ws_url) as wire:
        await wire.init()
        await wire.send(type="subscribe", id="bad", payload=payload)
        message = await wire.next_message("bad")
        assert message["type"] == "error"
        assert [error["extensions"]["code"] for error in message["payload"]] == [code] * len(message["payload"])
        await wire.send(**{**SUBSCRIBE, "id": "bad"})  # nothing follows an error, and its id is free
        assert (await wire.next_message("bad"))["type"] == "next"


async def test_a_duplicate_id_closes_with_4409_however_long_it_is(app: RunningApp, ann: UserClient) -> None:
    den = await ann.create_room("den")
    for id_ in ("1", "x" * 128):
        async with ann.connect() as wire:
            watch = {"query": ROOM_MESSAGES, "variables": {"roomId": den}}
            await wire.send(type="subscribe", id=id_, payload=watch)
            await app.wait_for_streams(1)
            await wire.send(type="subscribe", id=id_, payload=ASK)
            code, reason = await wire.closed()
            assert (code, reason) == (4409, f"Subscriber for {id_} already exists"[: len(reason or "")])
        await app.wait_for_streams(0)


async def test_completing_what_is_unknown_or_over_is_ignored(app: RunningApp) -> None:
    async with SocketClient(app.ws_url) as wire:
        await wire.init()
        for _ in range(3):
            await wire.send(type="complete", id="1")
        await wire.send(**SUBSCRIBE)
        assert (await wire.next_message("1"))["type"] == "next"
        await wire.send(type="complete", id="1")
        await wire.send(type="ping")
        assert await wire.next_control() == {"type": "pong"}


async def test_a_completed_stream_is_silent_and_its_id_free(app: RunningApp, ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with ann.connect() as wire:
        watch = {"query": ROOM_MESSAGES, "variables": {"roomId": den}}
        await wire.send(type="subscribe", id="1", payload=watch)
        await app.wait_for_streams(1)
        await wire.send(type="complete", id="1")
        await app.wait_for_streams(0)
        await ann.send_messages(den, "to nobody")
        await wire.send(**SUBSCRIBE)
        assert (await wire.next_message("1"))["payload"] == {"data": {"__typename": "Query"}}
