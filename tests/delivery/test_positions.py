"""A stream of messages says where it is before its first message, and while nobody speaks: in the server's pings."""

import asyncio
import json
from dataclasses import replace

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from roomcast.api.websocket.timeouts import Timeouts
from roomcast.core.event_log import read_cursor
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.delivery.test_resume import bodies, cursor_of
from tests.receipts.test_inbox import INBOX

TYPING = "subscription Typing($roomId: ID!) { typing(roomId: $roomId) { roomId } }"


async def test_a_stream_from_now_says_where_it_begins(ann: UserClient) -> None:
    den = await ann.create_room("den")
    await ann.send_messages(den, "before")
    async with ann.connect() as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        assert await wire.next_ping() == {"cursors": {watching.id: await cursor_of(ann, den)}}


async def test_a_quiet_stream_resumes_from_where_it_began(ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with ann.connect() as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        cursor = (await wire.next_ping())["cursors"][watching.id]
    await ann.send_messages(den, "missed")
    async with ann.connect() as wire:
        again = await wire.subscribe(ROOM_MESSAGES, roomId=den, after=cursor)
        assert bodies([await again.next_event()]) == ["missed"]


async def test_heartbeats_say_where_streams_are_and_only_what_is_new(ann: UserClient) -> None:
    den = await ann.create_room("den")
    ann.app.roomcast.sockets.timeouts = replace(Timeouts(), tick=0.02, heartbeat=0.1)
    async with ann.connect() as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await ann.app.wait_for_streams(1)
        [said] = [await ann.send(den, "one")]
        assert (await watching.next_event())["cursor"] == said["cursor"]
        seen = [await wire.next_ping()]
        while said["cursor"] != seen[-1].get("cursors", {}).get(watching.id):
            seen.append(await wire.next_ping())
        assert [await wire.next_ping(), await wire.next_ping()] == [{}, {}]


async def test_streams_that_say_their_position_themselves_or_have_none_are_in_no_ping(ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with ann.connect() as wire:
        await (await wire.subscribe(ROOM_EVENTS, roomId=den)).wait_until_ready()
        await (await wire.subscribe(INBOX)).next_event()
        await (await wire.subscribe(TYPING, roomId=den)).next_event()
        last = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        assert list((await wire.next_ping())["cursors"]) == [last.id]


async def test_a_position_is_never_ahead_of_what_was_shown(ann: UserClient) -> None:
    den = await ann.create_room("den")
    start = read_cursor(await cursor_of(ann, den)).seq
    ann.app.roomcast.sockets.timeouts = replace(Timeouts(), tick=0.001, heartbeat=0.002)
    async with connect(ann.app.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as ws:
        await ws.send(json.dumps({"type": "connection_init", "payload": {"authorization": ann.token}}))
        assert json.loads(await ws.recv())["type"] == "connection_ack"
        payload = {"query": ROOM_MESSAGES, "variables": {"roomId": den}}
        await ws.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        await ann.app.wait_for_streams(1)
        talking = asyncio.create_task(ann.send_messages(den, *map(str, range(30))))
        shown, said = start, list[int]()
        while shown < start + 30:
            message = json.loads(await ws.recv())
            if message["type"] == "next":
                shown = message["payload"]["data"]["roomMessages"]["message"]["seq"]
            elif message["type"] == "ping":
                await ws.send('{"type":"pong"}')
                said += [read_cursor(cursor).seq for cursor in message.get("payload", {}).get("cursors", {}).values()]
                assert said == sorted(set(said))
                assert not said or said[-1] <= shown
        await talking
    assert len(said) > 1
