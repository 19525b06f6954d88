"""`extensions: {delivery: true}`: each event tells when it was recorded and how late it is."""

from datetime import UTC, datetime
from typing import Any

from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, Json, SocketClient, UserClient
from tests.running_app import RunningApp

VIEWER = "subscription Watch($roomId: ID!) { roomMessages(roomId: $roomId) { cursor message { body viewerCanEdit } } }"


class Stream:
    """A subscription with extensions."""

    def __init__(self, socket: SocketClient, id_: str) -> None:
        self._socket, self._id = socket, id_

    async def next_payload(self) -> Json:
        message = await self._socket.next_message(self._id)
        assert message["type"] == "next", message
        return dict(message["payload"])


async def subscribe(socket: SocketClient, id_: str, document: str, extensions: Json, **variables: Any) -> Stream:
    payload = {"query": document, "variables": variables, "extensions": extensions}
    await socket.send(type="subscribe", id=id_, payload=payload)
    return Stream(socket, id_)


async def test_an_event_tells_its_time_and_lag_if_the_client_asks(app: RunningApp, ann: UserClient) -> None:
    room = await ann.create_room("den")
    async with ann.connect() as socket:
        asking = [await subscribe(socket, name, ROOM_MESSAGES, {"delivery": True}, roomId=room) for name in "ab"]
        silent = await subscribe(socket, "c", ROOM_MESSAGES, {}, roomId=room)
        personal = await subscribe(socket, "d", VIEWER, {"delivery": True}, roomId=room)
        await app.wait_for_streams(4)
        assert len(app.roomcast.hub.groups) == 3, "those that ask share one execution"
        before = datetime.now(UTC)
        await ann.send(room, "hello")
        told = [await stream.next_payload() for stream in (*asking, personal)]
        plain = await silent.next_payload()
    assert "extensions" not in plain
    assert told[0] == told[1]
    for payload in told:
        delivery = payload["extensions"]["delivery"]
        assert 0 <= delivery["lagMs"] < 30_000
        assert abs((datetime.fromisoformat(delivery["recordedAt"]) - before).total_seconds()) < 30
        assert payload["data"]["roomMessages"]["message"]["body"] == "hello"


async def test_a_replayed_event_has_a_time_but_no_lag(app: RunningApp, ann: UserClient) -> None:
    room = await ann.create_room("den")
    cursor = (await ann.send(room, "first"))["cursor"]
    await ann.send(room, "missed")
    async with ann.connect() as socket:
        stream = await subscribe(socket, "a", ROOM_EVENTS, {"delivery": True}, roomId=room, after=cursor)
        ready, replayed, live = [await stream.next_payload() for _ in range(3)]
    assert replayed["data"]["roomEvents"]["message"]["body"] == "missed"
    assert replayed["extensions"]["delivery"]["lagMs"] is None
    assert replayed["extensions"]["delivery"]["recordedAt"]
    for control in (ready, live):
        assert control["data"]["roomEvents"]["__typename"] == "StreamReady"
        assert "extensions" not in control
