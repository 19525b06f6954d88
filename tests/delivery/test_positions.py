"""A stream of messages announces its position before its first message and, while it is quiet, in pings."""

import asyncio
import json
from dataclasses import replace

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from roomcast.api.websocket.timeouts import Timeouts
from roomcast.core.event_log import parse_cursor
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.delivery.test_resume import bodies, cursor_of
from tests.receipts.test_inbox import INBOX

TYPING = "subscription Typing($roomId: ID!) { typing(roomId: $roomId) { roomId } }"


async def test_a_live_stream_announces_its_start_position(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "before")
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        assert await connection.next_ping() == {"cursors": {subscription.id: await cursor_of(ann, room_id)}}


async def test_a_stream_without_events_resumes_from_its_start(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        cursor = (await connection.next_ping())["cursors"][subscription.id]
    await ann.send_messages(room_id, "missed")
    async with ann.connect() as connection:
        again = await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=cursor)
        assert bodies([await again.next_event()]) == ["missed"]


async def test_pings_announce_only_positions_that_changed(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    ann.app.roomcast.sockets.timeouts = replace(Timeouts(), tick=0.02, heartbeat=0.1)
    async with ann.connect() as connection:
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(1)
        sent = await ann.send(room_id, "one")
        assert (await subscription.next_event())["cursor"] == sent["cursor"]
        seen = [await connection.next_ping()]
        while sent["cursor"] != seen[-1].get("cursors", {}).get(subscription.id):
            seen.append(await connection.next_ping())
        assert [await connection.next_ping(), await connection.next_ping()] == [{}, {}]


async def test_streams_with_their_own_positions_or_none_are_in_no_ping(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        await (await connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()
        await (await connection.subscribe(INBOX)).next_event()
        await (await connection.subscribe(TYPING, roomId=room_id)).next_event()
        last = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        assert list((await connection.next_ping())["cursors"]) == [last.id]


async def test_an_announced_position_is_never_ahead_of_the_sent_events(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    start = parse_cursor(await cursor_of(ann, room_id)).seq
    ann.app.roomcast.sockets.timeouts = replace(Timeouts(), tick=0.001, heartbeat=0.002)
    async with connect(ann.app.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as ws:
        await ws.send(json.dumps({"type": "connection_init", "payload": {"authorization": ann.token}}))
        assert json.loads(await ws.recv())["type"] == "connection_ack"
        payload = {"query": ROOM_MESSAGES, "variables": {"roomId": room_id}}
        await ws.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        await ann.app.wait_for_streams(1)
        sending = asyncio.create_task(ann.send_messages(room_id, *map(str, range(30))))
        shown, announced = start, list[int]()
        while shown < start + 30 or len(announced) < 2:
            message = json.loads(await ws.recv())
            if message["type"] == "next":
                shown = message["payload"]["data"]["roomMessages"]["message"]["seq"]
            elif message["type"] == "ping":
                await ws.send('{"type":"pong"}')
                announced += [
                    parse_cursor(cursor).seq for cursor in message.get("payload", {}).get("cursors", {}).values()
                ]
                assert announced == sorted(set(announced))
                assert not announced or announced[-1] <= shown
        await sending
    assert len(announced) > 1
