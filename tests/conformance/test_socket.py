"""The rules of graphql-transport-ws, from PROTOCOL.md and the tests of the reference implementation."""

import json
from typing import Any

import pytest

from roomcast.serving import App
from tests.api_clients import ROOM_MESSAGES, SocketClient, UserClient
from tests.running_app import RunningApp


@pytest.fixture(params=[True, False], ids=["taken over", "ASGI"], autouse=True)
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On our own server, the app takes sockets over; on others it has ASGI connections."""
    monkeypatch.setattr(App, "takes_sockets_over", request.param)


QUERY = {"query": "{ __typename }"}
LONG = "x" * 1000


async def close_of(app: RunningApp, *messages: Any, acknowledged: bool = True) -> tuple[int | None, str | None]:
    """The close code and reason after a client has sent these messages."""
    async with SocketClient(app.ws_url) as connection:
        if acknowledged:
            await connection.init()
        for message in messages:
            await connection.ws.send(message if isinstance(message, bytes) else json.dumps(message))
        return await connection.closed()


# ------------------------------------------------------------------ opening


@pytest.mark.parametrize("subprotocol", [None, "graphql-ws", "something-else"])
async def test_another_subprotocol_closes_with_4406(app: RunningApp, subprotocol: str | None) -> None:
    async with SocketClient(app.ws_url, subprotocol=subprotocol) as connection:
        assert await connection.closed() == (4406, "Subprotocol not acceptable: use graphql-transport-ws")


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"any": [1]}}])
async def test_a_connection_is_acknowledged(app: RunningApp, payload: dict[str, Any]) -> None:
    async with SocketClient(app.ws_url) as connection:
        await connection.send(type="connection_init", **payload)
        assert (await connection.next_control())["type"] == "connection_ack"


async def test_a_second_connection_init_closes_with_4429_even_before_the_ack(app: RunningApp) -> None:
    init = {"type": "connection_init"}
    assert await close_of(app, init) == (4429, "Too many initialisation requests")
    assert (await close_of(app, init, init, acknowledged=False))[0] == 4429


async def test_no_operation_runs_before_the_ack(app: RunningApp) -> None:
    subscribe = {"type": "subscribe", "id": "1", "payload": QUERY}
    assert await close_of(app, subscribe, acknowledged=False) == (4401, "Unauthorized")


# ------------------------------------------------------------------ malformed messages of every shape

SUBSCRIBE = {"type": "subscribe", "id": "1", "payload": QUERY}
NO_OBJECTS: list[Any] = [1, "x", [], True]
NO_STRINGS: list[Any] = [1, [], {}, True]


def changed(name: str, *values: Any) -> list[Any]:
    """Subscribe messages whose payload has each of these values under that name."""
    return [{**SUBSCRIBE, "payload": {**QUERY, name: value}} for value in values]


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
    *[{"type": "subscribe", "id": "1"}, {"type": "subscribe", "payload": QUERY}, {"type": "complete"}],
    *[b"", b"{", b"\xff", b"null", b"[" * 200_000],  # binary frames, JSON or not
]


async def test_a_malformed_message_closes_with_4400_and_a_reason_that_fits(app: RunningApp) -> None:
    for message in MALFORMED:
        code, reason = await close_of(app, message)
        assert code == 4400, message
        assert reason, message
        assert len(reason.encode()) <= 123, message


async def test_malformed_messages_affect_no_other_connection(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as good:
        subscription = await good.subscribe(ROOM_MESSAGES, roomId=room_id)
        await app.wait_for_streams(1)
        for message in MALFORMED[:20]:
            await close_of(app, message)
        await ann.send_messages(room_id, "still here")
        assert (await subscription.next_event())["message"]["body"] == "still here"


# ------------------------------------------------------------------ pings


async def test_pings_are_echoed_at_any_time_and_pongs_ignored(app: RunningApp) -> None:
    async with SocketClient(app.ws_url) as connection:
        await connection.send(type="ping")
        assert await connection.next_control() == {"type": "pong"}
        await connection.init()
        await connection.send(type="pong", payload={"nobody": "asked"})
        await connection.send(type="ping", payload={"n": 1})
        assert await connection.next_control() == {"type": "pong", "payload": {"n": 1}}


# ------------------------------------------------------------------ operations


async def test_a_query_is_answered_once_and_completed(app: RunningApp) -> None:
    async with SocketClient(app.ws_url) as connection:
        await connection.init()
        for _ in range(2):  # the id is free again at once
            await connection.send(**SUBSCRIBE)
            assert (await connection.next_message("1"))["payload"] == {"data": {"__typename": "Query"}}
            assert await connection.next_message("1") == {"id": "1", "type": "complete"}


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
async def test_a_bad_operation_gets_an_error_and_the_connection_stays_open(
    app: RunningApp, payload: dict[str, Any], code: str
) -> None:
    async with SocketClient(app.ws_url) as connection:
        await connection.init()
        await connection.send(type="subscribe", id="bad", payload=payload)
        message = await connection.next_message("bad")
        assert message["type"] == "error"
        assert [error["extensions"]["code"] for error in message["payload"]] == [code] * len(message["payload"])
        await connection.send(**{**SUBSCRIBE, "id": "bad"})  # nothing follows an error, and its id is free
        assert (await connection.next_message("bad"))["type"] == "next"


async def test_a_duplicate_id_closes_with_4409_however_long_it_is(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    for id_ in ("1", "x" * 128):
        async with ann.connect() as connection:
            subscribe_payload = {"query": ROOM_MESSAGES, "variables": {"roomId": room_id}}
            await connection.send(type="subscribe", id=id_, payload=subscribe_payload)
            await app.wait_for_streams(1)
            await connection.send(type="subscribe", id=id_, payload=QUERY)
            code, reason = await connection.closed()
            assert (code, reason) == (4409, f"Subscriber for {id_} already exists"[: len(reason or "")])
        await app.wait_for_streams(0)


async def test_complete_for_an_unknown_or_finished_operation_is_ignored(app: RunningApp) -> None:
    async with SocketClient(app.ws_url) as connection:
        await connection.init()
        for _ in range(3):
            await connection.send(type="complete", id="1")
        await connection.send(**SUBSCRIBE)
        assert (await connection.next_message("1"))["type"] == "next"
        await connection.send(type="complete", id="1")
        await connection.send(type="ping")
        assert await connection.next_control() == {"type": "pong"}


async def test_a_completed_stream_sends_nothing_and_its_id_can_be_used_again(app: RunningApp, ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        subscribe_payload = {"query": ROOM_MESSAGES, "variables": {"roomId": room_id}}
        await connection.send(type="subscribe", id="1", payload=subscribe_payload)
        await app.wait_for_streams(1)
        await connection.send(type="complete", id="1")
        await app.wait_for_streams(0)
        await ann.send_messages(room_id, "to nobody")
        await connection.send(**SUBSCRIBE)
        assert (await connection.next_message("1"))["payload"] == {"data": {"__typename": "Query"}}
