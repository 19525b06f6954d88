"""Clients that connect, subscribe and disconnect repeatedly leave nothing behind."""

import asyncio
import json
import random
import tracemalloc

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from roomcast.live.topics import PRESENCE_TOPIC
from tests.api_clients import ROOM_EVENTS, UserClient
from tests.delivery.resuming_clients import WATCH, full_or_short, held_bytes
from tests.presence.documents import PRESENCE, TYPING
from tests.running_app import RunningApp, wait_until_all_closed

pytestmark = pytest.mark.chaos

BYTES_PER_CYCLE = 200
"""Far less than a socket, a task or a subscription takes."""


async def visit(person: UserClient, room_id: str) -> None:
    """Connect, subscribe and abort the connection, sometimes before any result has arrived."""
    protocols = [Subprotocol("graphql-transport-ws")]
    opening = connect(person.app.ws_url, subprotocols=protocols, ping_interval=None, close_timeout=0.01)
    async with opening as ws:
        await ws.send(json.dumps({"type": "connection_init", "payload": {"authorization": person.token}}))
        await ws.recv()
        for id_, query in enumerate((WATCH, ROOM_EVENTS, PRESENCE, TYPING)):
            payload = {"query": query, "variables": {"roomId": room_id}}
            await ws.send(json.dumps({"type": "subscribe", "id": str(id_), "payload": payload}))
        if random.random() < 0.5:
            await ws.recv()
        ws.transport.abort()


async def visits(person: UserClient, room_id: str, count: int, at_once: int = 20) -> None:
    for start in range(0, count, at_once):
        await asyncio.gather(*(visit(person, room_id) for _ in range(start, min(start + at_once, count))))
        await person.send_messages(room_id, "who is there?")


async def test_sockets_that_connect_and_vanish_leave_nothing_behind(app: RunningApp, ann: UserClient) -> None:
    room_id, count = await ann.create_room("den"), full_or_short(10_000, 200)
    await visits(ann, room_id, 60)  # fill caches
    await wait_until_all_closed(app)
    tasks, bytes_before = len(asyncio.all_tasks()), held_bytes()
    await visits(ann, room_id, count)
    await wait_until_all_closed(app)
    grown = held_bytes() - bytes_before
    tracemalloc.stop()
    assert len(asyncio.all_tasks()) <= tasks
    assert app.roomcast.bus._joined == {PRESENCE_TOPIC: 1}  # the topic on which processes share presence
    assert not app.roomcast.backend.presence._watched_members.feeds_by_user
    assert grown < max(count * BYTES_PER_CYCLE, 2_000_000)
