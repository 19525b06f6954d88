"""The life of a socket: close codes, independent operations, and the limits on sockets and streams."""

import asyncio
import base64
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Subprotocol

from roomcast.api.websocket import connection as connection_module
from roomcast.api.websocket.admission import ConnectionLimits
from roomcast.api.websocket.timeouts import Timeouts
from tests.api_clients import REFRESH, ROOM_EVENTS, ROOM_MESSAGES, SEND, SIGNUP, SocketClient, UserClient, sign_up
from tests.conftest import MakeApp
from tests.running_app import RunningApp

QUICK = Timeouts(tick=0.02, heartbeat=0.1, init=0.3, grace=0.4)


@pytest.fixture
def ann_with_short_timeouts(ann: UserClient) -> UserClient:
    """ann, on an app with short timeouts."""
    ann.app.roomcast.sockets.timeouts = QUICK
    return ann


async def ping_is_answered(connection: SocketClient) -> None:
    await connection.send(type="ping", payload={"still": "there"})
    assert await connection.next_control() == {"type": "pong", "payload": {"still": "there"}}


# ------------------------------------------------------------------ timeouts


async def test_a_client_that_misses_pings_is_closed_with_4408(ann_with_short_timeouts: UserClient) -> None:
    opening = connect(
        ann_with_short_timeouts.app.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")], ping_interval=None
    )
    async with ann_with_short_timeouts.connect() as good, opening as silent:
        await silent.send('{"type":"connection_init"}')
        async with asyncio.timeout(5):
            received = [json.loads(text)["type"] async for text in until_closed(silent)]
        assert (received, silent.close_code) == (["connection_ack", "ping", "ping"], 4408)
        await ping_is_answered(good)


async def until_closed(ws: ClientConnection) -> AsyncIterator[str]:
    with suppress(ConnectionClosedError):
        async for text in ws:
            yield str(text)


async def test_a_client_that_never_sends_connection_init_is_closed_with_4408(
    ann_with_short_timeouts: UserClient,
) -> None:
    async with SocketClient(ann_with_short_timeouts.app.ws_url) as connection:
        assert await connection.closed() == (4408, "Connection initialisation timeout")


async def test_an_expired_token_closes_with_4403_after_a_grace_period(make_app: MakeApp) -> None:
    app = await make_app(access_token_seconds=2)
    app.roomcast.sockets.timeouts = replace(QUICK, grace=0.5)
    async with await sign_up(app, "ann") as ann:
        room_id = await ann.create_room("den")
        async with ann.connect() as connection:
            await (await connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()
            assert await connection.closed() == (4403, "Access token expired")


async def test_a_renewed_session_keeps_its_socket_and_streams(make_app: MakeApp) -> None:
    app = await make_app(access_token_seconds=3)
    app.roomcast.sockets.timeouts = replace(QUICK, grace=0.5)
    async with await sign_up(app, "ann") as ann:
        room_id = await ann.create_room("den")
        async with ann.connect() as connection:
            subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
            for _ in range(4):
                # Real time has to pass: more than the lifetime of a token and its grace period.
                await asyncio.sleep(0.9)
                answer = await connection.execute(REFRESH, input={"refreshToken": ann.refresh_token})
                ann.refresh_token = answer["data"]["refreshSession"]["tokens"]["refreshToken"]
            await connection.execute(SEND, input={"roomId": room_id, "body": "still there?"})
            assert (await subscription.next_event())["message"]["body"] == "still there?"


async def test_an_expired_token_cannot_open_a_socket_but_may_be_renewed_on_one(make_app: MakeApp) -> None:
    app = await make_app(access_token_seconds=2)
    async with await sign_up(app, "ann") as ann:
        async with asyncio.timeout(5):
            while "TOKEN_EXPIRED" not in (await ann.post({"query": "{ me { id } }"})).text:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        async with SocketClient(app.ws_url) as connection:
            await connection.send(type="connection_init", payload={"authorization": ann.token})
            assert (await connection.closed())[0] == 4403
        async with SocketClient(app.ws_url) as connection:
            assert (await connection.init())["sessionId"] is None
            answer = await connection.execute(REFRESH, input={"refreshToken": ann.refresh_token})
            assert answer["data"]["refreshSession"]["user"]["username"] == "ann"
            assert (await connection.execute("{ me { user { username } } }"))["data"]["me"]["user"] == {
                "username": "ann"
            }


# ------------------------------------------------------------------ credentials


def _credential_payloads(token: str) -> list[dict[str, object]]:
    names = ("authorization", "Authorization", "authToken", "accessToken", "token")
    flat: list[dict[str, object]] = [{name: value} for name in names for value in (token, f"Bearer {token}")]
    nested: list[dict[str, object]] = [{"headers": payload} for payload in flat]
    return flat + nested


async def test_a_token_is_accepted_in_every_usual_place(ann: UserClient) -> None:
    assert ann.token is not None
    for payload in _credential_payloads(ann.token):
        async with SocketClient(ann.app.ws_url) as connection:
            ack = await connection.init(payload)
            assert str(ack["sessionId"]).startswith("session_"), payload
            assert ack["heartbeatMs"] == 12_000
            assert ack["accessTokenExpiresAt"].endswith("Z")


async def test_a_token_that_was_never_valid_closes_with_4401(ann: UserClient) -> None:
    assert ann.token is not None
    head, claims, signature = ann.token.split(".")
    padded = claims + "=" * (-len(claims) % 4)
    others = {**json.loads(base64.urlsafe_b64decode(padded)), "sub": "someone else"}
    forged = base64.urlsafe_b64encode(json.dumps(others).encode()).rstrip(b"=").decode()
    for token in ("nonsense", f"{head}.{forged}.{signature}", f"{head}.{claims}."):
        async with SocketClient(ann.app.ws_url) as connection:
            await connection.send(type="connection_init", payload={"authorization": token})
            assert (await connection.closed())[0] == 4401


NO_TOKENS: list[object] = [1, True, [], {}, ["x"], "Basic YW5uOnNlY3JldA==", "Token abc", "Digest username=ann, a=b"]
UNREADABLE: list[dict[str, object]] = [
    *[{name: value} for name in ("authorization", "accessToken", "token") for value in NO_TOKENS],
    {"headers": {"Authorization": "Basic YW5uOnNlY3JldA=="}},
    {"authorization": None, "token": 5},
]


async def test_a_credential_that_cannot_be_read_closes_with_4401(ann: UserClient) -> None:
    for payload in UNREADABLE:
        async with SocketClient(ann.app.ws_url) as connection:
            await connection.send(type="connection_init", payload=payload)
            assert (await connection.closed())[0] == 4401, payload


async def test_a_handshake_with_an_unknown_scheme_is_not_anonymous(app: RunningApp) -> None:
    opening = connect(
        app.ws_url,
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers={"Authorization": "Basic YW5uOnNlY3JldA=="},
    )
    async with opening as ws:
        await ws.send('{"type":"connection_init"}')
        assert [text async for text in until_closed(ws)] == []
        assert ws.close_code == 4401


@pytest.mark.parametrize(
    "payload", [{"authorization": ""}, {"authorization": "Bearer "}, {"token": None, "headers": {"authToken": " "}}]
)
async def test_an_empty_credential_is_anonymous(app: RunningApp, payload: dict[str, object]) -> None:
    async with SocketClient(app.ws_url) as connection:
        assert (await connection.init(payload))["sessionId"] is None


async def test_an_anonymous_socket_may_sign_up_and_then_acts_for_the_user(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with SocketClient(ann.app.ws_url) as connection:
        await connection.init()
        refused = await (await connection.subscribe(ROOM_EVENTS, roomId=room_id)).next_message()
        assert refused["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        await connection.execute(SIGNUP, input={"username": "dora", "password": "a good long pass phrase"})
        assert len(await (await connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()) == 1


async def test_subscribing_before_connection_ack_closes_with_4401(ann: UserClient) -> None:
    async with SocketClient(ann.app.ws_url) as connection:
        await connection.send(type="connection_init", payload={"authorization": ann.token})
        await connection.subscribe("{ me { id } }")
        assert await connection.closed() == (4401, "Unauthorized")


# ------------------------------------------------------------------ failing operations


async def test_failing_operations_do_not_affect_the_others(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        good = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(1)
        for query, variables in (
            ("{", {}),
            ("{ nothing }", {}),
            ("query A { me { id } } query B { me { id } }", {}),
            ("subscription { roomEvents(roomId: 5) { cursor } }", {}),
            (ROOM_EVENTS, {"roomId": None}),
            (ROOM_EVENTS, {"roomId": "room_unknown"}),
            ("{" + "a{" * 500 + "b" + "}" * 501, {}),
        ):
            assert (await (await connection.subscribe(query, **variables)).next_message())["type"] == "error", query
        await ann.send_messages(room_id, "undisturbed")
        assert (await good.next_event())["message"]["body"] == "undisturbed"


# ------------------------------------------------------------------ limits


async def test_sockets_per_user_address_and_process_are_limited(ann: UserClient, bob: UserClient) -> None:
    admission = ann.app.roomcast.sockets.admission
    admission.limits = ConnectionLimits(sockets_per_process=6, sockets_per_address=5, sockets_per_user=2)
    async with AsyncExitStack() as stack:
        for person in (ann, ann, bob):
            await stack.enter_async_context(person.connect())
        async with SocketClient(ann.app.ws_url) as third:
            await third.send(type="connection_init", payload={"authorization": ann.token})
            assert await third.closed() == (1013, "Too many connections")
        for _ in range(2):
            await stack.enter_async_context(SocketClient(ann.app.ws_url))
        async with SocketClient(ann.app.ws_url) as sixth:
            assert await sixth.closed() == (1013, "Too many connections")
        admission.limits = ConnectionLimits(sockets_per_process=5)
        async with SocketClient(ann.app.ws_url) as sixth:
            assert (await sixth.closed())[0] == 1013
    admission.limits = ConnectionLimits(sockets_per_user=1)
    async with bob.connect() as connection:  # all closed connections are counted off
        await ping_is_answered(connection)


async def test_streams_per_connection_and_user_are_limited(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    ann.app.roomcast.sockets.admission.limits = ConnectionLimits(subscriptions_per_user=120)
    async with ann.connect() as first, ann.connect() as second:
        for _ in range(100):
            await first.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(100)
        codes = [await _refused(first, room_id)]
        for _ in range(20):
            await second.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(120)
        codes.append(await _refused(second, room_id))
        assert codes == ["SUBSCRIPTION_LIMIT"] * 2
        await ann.send_messages(room_id, "others receive this")
        await ping_is_answered(second)


async def _refused(connection: SocketClient, room_id: str) -> str:
    message = await (await connection.subscribe(ROOM_MESSAGES, roomId=room_id)).next_message()
    assert message["type"] == "error"
    return str(message["payload"][0]["extensions"]["code"])


async def test_limits_per_user_and_address_can_be_disabled(make_app: MakeApp) -> None:
    limits = (await make_app(rate_limits="off")).roomcast.sockets.admission.limits
    assert (limits.sockets_per_address, limits.sockets_per_user, limits.subscriptions_per_user) == (None, None, None)


# ------------------------------------------------------------------ shutdown


async def test_a_stopping_server_answers_running_operations_and_closes_with_1012(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    server = ann.app.roomcast
    async with ann.connect() as connection, ann.connect() as idle:
        async with server.db.work():  # SQLite has one writer, so the send has to wait
            sending = await connection.subscribe(SEND, input={"roomId": room_id, "body": "last words"})
            await ping_is_answered(connection)
            for socket in list(server.sockets.connections):
                socket.on_server_stop()
            ignored = await connection.subscribe("{ me { id } }")
            assert await idle.closed() == (1012, "Service restart")
        answer = await sending.next_message()
        assert answer["payload"]["data"]["sendMessage"]["message"]["body"] == "last words"
        assert await connection.closed() == (1012, "Service restart")
        assert ignored.is_empty


async def test_a_stopping_server_closes_sockets_one_after_another(
    app: RunningApp, ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "CLOSES_PER_SECOND", 20)
    loop = asyncio.get_running_loop()

    async def time_of_close(connection: SocketClient) -> float:
        assert await connection.closed() == (1012, "Service restart")
        return loop.time()

    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(ann.connect()) for _ in range(10)]
        closes = [asyncio.create_task(time_of_close(each)) for each in connections]
        app.roomcast.sockets.close_all()
        app.roomcast.sockets.close_all()  # the second time changes nothing
        times = await asyncio.gather(*closes)
        async with ann.connect() as late:
            assert await late.closed() == (1012, "Service restart")
    assert max(times) - min(times) > 0.05  # of half a second


async def test_a_socket_of_the_greatest_age_is_closed_with_1012(app: RunningApp, ann: UserClient) -> None:
    app.roomcast.sockets.timeouts = replace(app.roomcast.sockets.timeouts, tick=0.02, max_age=0.1)
    async with ann.connect() as connection:
        assert await connection.closed() == (1012, "Service restart")


# ------------------------------------------------------------------ memory


async def test_a_closed_socket_leaves_no_reference_cycles(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        await (await connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()
        async with asyncio.timeout(5):
            while any(socket.operations.tasks for socket in ann.app.roomcast.sockets.connections):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        gc.collect()  # garbage of the operation
        gc.disable()
        [socket_ref] = [weakref.ref(socket) for socket in ann.app.roomcast.sockets.connections]
    try:
        async with asyncio.timeout(5):
            while socket_ref() is not None:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
