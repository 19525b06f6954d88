"""A socket's life: how it ends, what it may not do to others, and how many of them there may be."""

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

from roomcast.api.websocket.admission import ConnectionLimits
from roomcast.api.websocket.timeouts import Timeouts
from tests.api_clients import REFRESH, ROOM_EVENTS, ROOM_MESSAGES, SEND, SIGNUP, SocketClient, UserClient, sign_up
from tests.conftest import MakeApp
from tests.running_app import RunningApp

QUICK = Timeouts(tick=0.02, heartbeat=0.1, init=0.3, grace=0.4)


@pytest.fixture
def hasty(ann: UserClient) -> UserClient:
    """Ann in a house that waits for nobody."""
    ann.app.roomcast.sockets.timeouts = QUICK
    return ann


async def ping_is_answered(wire: SocketClient) -> None:
    await wire.send(type="ping", payload={"still": "there"})
    assert await wire.next_control() == {"type": "pong", "payload": {"still": "there"}}


# ------------------------------------------------------------------ time


async def test_who_answers_pings_stays_and_who_does_not_is_closed_with_4408(hasty: UserClient) -> None:
    opening = connect(hasty.app.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")], ping_interval=None)
    async with hasty.connect() as good, opening as mute:
        await mute.send('{"type":"connection_init"}')
        async with asyncio.timeout(5):
            heard = [json.loads(text)["type"] async for text in until_closed(mute)]
        assert (heard, mute.close_code) == (["connection_ack", "ping", "ping"], 4408)
        await ping_is_answered(good)


async def until_closed(ws: ClientConnection) -> AsyncIterator[str]:
    with suppress(ConnectionClosedError):
        async for text in ws:
            yield str(text)


async def test_who_never_says_hello_is_closed_with_4408(hasty: UserClient) -> None:
    async with SocketClient(hasty.app.ws_url) as wire:
        assert await wire.closed() == (4408, "Connection initialisation timeout")


async def test_an_expired_token_has_its_grace_and_then_4403(make_app: MakeApp) -> None:
    app = await make_app(access_token_seconds=2)
    app.roomcast.sockets.timeouts = replace(QUICK, grace=0.5)
    async with await sign_up(app, "ann") as ann:
        den = await ann.create_room("den")
        async with ann.connect() as wire:
            await (await wire.subscribe(ROOM_EVENTS, roomId=den)).wait_until_ready()
            assert await wire.closed() == (4403, "Access token expired")


async def test_a_renewed_session_keeps_its_socket_and_streams(make_app: MakeApp) -> None:
    app = await make_app(access_token_seconds=2)
    app.roomcast.sockets.timeouts = replace(QUICK, grace=0.5)
    async with await sign_up(app, "ann") as ann, await sign_up(app, "bob") as bob:
        den = await ann.create_room("den")
        async with ann.connect() as wire:
            watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
            for _ in range(4):
                await asyncio.sleep(0.6)  # time itself is what is tried here: more than a token's life and its grace
                answer = await wire.execute(REFRESH, input={"refreshToken": ann.refresh_token})
                ann.refresh_token = answer["data"]["refreshSession"]["tokens"]["refreshToken"]
            async with await sign_up(app, "cleo") as cleo:
                await cleo.join(den)
                await cleo.send_messages(den, "still there?")
            joined, said = await watching.next_events(2)
            assert (joined["message"]["author"], said["message"]["body"]) == (None, "still there?")
        assert bob.name == "bob"


async def test_an_expired_token_cannot_open_a_socket_but_may_be_renewed_on_one(make_app: MakeApp) -> None:
    app = await make_app(access_token_seconds=2)
    async with await sign_up(app, "ann") as ann:
        async with asyncio.timeout(5):
            while "TOKEN_EXPIRED" not in (await ann.post({"query": "{ me { id } }"})).text:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        async with SocketClient(app.ws_url) as wire:
            await wire.send(type="connection_init", payload={"authorization": ann.token})
            assert (await wire.closed())[0] == 4403
        async with SocketClient(app.ws_url) as wire:
            assert (await wire.init())["sessionId"] is None
            answer = await wire.execute(REFRESH, input={"refreshToken": ann.refresh_token})
            assert answer["data"]["refreshSession"]["user"]["username"] == "ann"
            assert (await wire.execute("{ me { user { username } } }"))["data"]["me"]["user"] == {"username": "ann"}


# ------------------------------------------------------------------ credentials


def _placed(token: str) -> list[dict[str, object]]:
    names = ("authorization", "Authorization", "authToken", "accessToken", "token")
    flat: list[dict[str, object]] = [{name: value} for name in names for value in (token, f"Bearer {token}")]
    nested: list[dict[str, object]] = [{"headers": payload} for payload in flat]
    return flat + nested


async def test_a_token_is_found_wherever_clients_put_it(ann: UserClient) -> None:
    assert ann.token is not None
    for payload in _placed(ann.token):
        async with SocketClient(ann.app.ws_url) as wire:
            ack = await wire.init(payload)
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
        async with SocketClient(ann.app.ws_url) as wire:
            await wire.send(type="connection_init", payload={"authorization": token})
            assert (await wire.closed())[0] == 4401


NO_TOKENS: list[object] = [1, True, [], {}, ["x"], "Basic YW5uOnNlY3JldA==", "Token abc", "Digest username=ann, a=b"]
UNREADABLE: list[dict[str, object]] = [
    *[{name: value} for name in ("authorization", "accessToken", "token") for value in NO_TOKENS],
    {"headers": {"Authorization": "Basic YW5uOnNlY3JldA=="}},
    {"authorization": None, "token": 5},
]


async def test_a_credential_that_cannot_be_read_closes_with_4401(ann: UserClient) -> None:
    for payload in UNREADABLE:
        async with SocketClient(ann.app.ws_url) as wire:
            await wire.send(type="connection_init", payload=payload)
            assert (await wire.closed())[0] == 4401, payload


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
async def test_an_empty_credential_is_none(app: RunningApp, payload: dict[str, object]) -> None:
    async with SocketClient(app.ws_url) as wire:
        assert (await wire.init(payload))["sessionId"] is None


async def test_a_socket_without_a_token_may_sign_up_and_is_then_somebodys(ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with SocketClient(ann.app.ws_url) as wire:
        await wire.init()
        refused = await (await wire.subscribe(ROOM_EVENTS, roomId=den)).next_message()
        assert refused["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        await wire.execute(SIGNUP, input={"username": "dora", "password": "a good long pass phrase"})
        assert len(await (await wire.subscribe(ROOM_EVENTS, roomId=den)).wait_until_ready()) == 1


async def test_who_subscribes_before_being_acknowledged_is_closed_with_4401(ann: UserClient) -> None:
    async with SocketClient(ann.app.ws_url) as wire:
        await wire.send(type="connection_init", payload={"authorization": ann.token})
        await wire.subscribe("{ me { id } }")
        assert await wire.closed() == (4401, "Unauthorized")


# ------------------------------------------------------------------ one bad operation


async def test_bad_operations_of_every_kind_leave_the_others_alone(ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with ann.connect() as wire:
        good = await wire.subscribe(ROOM_MESSAGES, roomId=den)
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
            assert (await (await wire.subscribe(query, **variables)).next_message())["type"] == "error", query
        await ann.send_messages(den, "undisturbed")
        assert (await good.next_event())["message"]["body"] == "undisturbed"


# ------------------------------------------------------------------ too many


async def test_a_person_an_address_and_a_process_have_their_number_of_sockets(ann: UserClient, bob: UserClient) -> None:
    crowd = ann.app.roomcast.sockets.admission
    crowd.places = ConnectionLimits(sockets=6, sockets_per_address=5, sockets_per_person=2)
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
        crowd.places = ConnectionLimits(sockets=5)
        async with SocketClient(ann.app.ws_url) as sixth:
            assert (await sixth.closed())[0] == 1013
    crowd.places = ConnectionLimits(sockets_per_person=1)
    async with bob.connect() as wire:  # all places are free again
        await ping_is_answered(wire)


async def test_a_connection_and_a_person_have_their_number_of_streams(ann: UserClient) -> None:
    den = await ann.create_room("den")
    ann.app.roomcast.sockets.admission.places = ConnectionLimits(streams_per_person=120)
    async with ann.connect() as first, ann.connect() as second:
        for _ in range(100):
            await first.subscribe(ROOM_MESSAGES, roomId=den)
        await ann.app.wait_for_streams(100)
        codes = [await _refused(first, den)]
        for _ in range(20):
            await second.subscribe(ROOM_MESSAGES, roomId=den)
        await ann.app.wait_for_streams(120)
        codes.append(await _refused(second, den))
        assert codes == ["SUBSCRIPTION_LIMIT"] * 2
        await ann.send_messages(den, "the others hear")
        await ping_is_answered(second)


async def _refused(wire: SocketClient, room_id: str) -> str:
    message = await (await wire.subscribe(ROOM_MESSAGES, roomId=room_id)).next_message()
    assert message["type"] == "error"
    return str(message["payload"][0]["extensions"]["code"])


async def test_limits_of_people_and_addresses_can_be_lifted(make_app: MakeApp) -> None:
    places = (await make_app(rate_limits="off")).roomcast.sockets.admission.places
    assert (places.sockets_per_address, places.sockets_per_person, places.streams_per_person) == (None, None, None)


# ------------------------------------------------------------------ shutdown


async def test_a_server_that_stops_answers_what_was_asked_and_closes_with_1012(ann: UserClient) -> None:
    den = await ann.create_room("den")
    inside = ann.app.roomcast
    async with ann.connect() as wire, ann.connect() as idle:
        async with inside.db.work():  # on SQLite the one writer is taken: the send has to wait
            sending = await wire.subscribe(SEND, input={"roomId": den, "body": "last words"})
            await ping_is_answered(wire)
            for socket in list(inside.sockets.open):
                socket.leave()
            ignored = await wire.subscribe("{ me { id } }")
            assert await idle.closed() == (1012, "Service restart")
        answer = await sending.next_message()
        assert answer["payload"]["data"]["sendMessage"]["message"]["body"] == "last words"
        assert await wire.closed() == (1012, "Service restart")
        assert ignored.is_empty


# ------------------------------------------------------------------ what it leaves


async def test_a_socket_that_has_ended_leaves_nothing_to_the_garbage_collector(ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with ann.connect() as wire:
        await (await wire.subscribe(ROOM_EVENTS, roomId=den)).wait_until_ready()
        async with asyncio.timeout(5):
            while any(socket._operations.tasks for socket in ann.app.roomcast.sockets.open):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        gc.collect()  # what the operation has left
        gc.disable()
        [trace] = [weakref.ref(socket) for socket in ann.app.roomcast.sockets.open]
    try:
        async with asyncio.timeout(5):
            while trace() is not None:  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
