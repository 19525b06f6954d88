"""A server killed during sends: every acknowledged message is stored once and in order. After a retry of the
unacknowledged ones, all are stored."""

import asyncio
import random
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.api_clients import SEND, UserClient, sign_up
from tests.delivery.resuming_clients import CATCH_UP_SECONDS, Json, full_history, full_or_short
from tests.process import Process, processes

pytestmark = pytest.mark.chaos

USERS, LANES = 4, 40
"""The numbers of sending users and of concurrent requests."""


@dataclass
class MessageBatch:
    """Messages to send, by clientMessageId. `acknowledged_seqs`: the seqs of those that the server has acknowledged."""

    messages: dict[str, tuple[UserClient, Json]]
    acknowledged_seqs: dict[str, int] = field(default_factory=dict)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def unacknowledged(self) -> list[str]:
        return [key for key in self.messages if key not in self.acknowledged_seqs]

    def of(self, room_id: str) -> set[str]:
        return {key for key, (_, sent) in self.messages.items() if sent["roomId"] == room_id}

    def on_acknowledged(self, key: str, seq: int) -> None:
        assert self.acknowledged_seqs.setdefault(key, seq) == seq, "one message has one seq"
        self.more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while len(self.acknowledged_seqs) < count:
                self.more.clear()
                await self.more.wait()


def make_batch(people: Sequence[UserClient], rooms: Sequence[str], count: int) -> MessageBatch:
    keys = [str(uuid.uuid4()) for _ in range(count)]
    return MessageBatch(
        {
            key: (random.choice(people), {"roomId": random.choice(rooms), "body": key, "clientMessageId": key})
            for key in keys
        }
    )


async def send_batch(server: Process, batch: MessageBatch, keys: Collection[str]) -> None:
    """Send each message once, LANES at a time, until the server is killed."""
    queue = iter(keys)
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=LANES)) as http:
        await asyncio.gather(*(_lane(http, server, batch, queue) for _ in range(LANES)))


async def _lane(http: httpx.AsyncClient, server: Process, batch: MessageBatch, queue: Iterator[str]) -> None:
    for key in queue:
        person, sent = batch.messages[key]
        try:
            answer = await http.post(
                f"{server.url}/graphql",
                json={"query": SEND, "variables": {"input": sent}},
                headers={"authorization": f"Bearer {person.token}"},
            )
        except httpx.TransportError:
            return  # it may or may not be stored
        payload = answer.json()["data"]["sendMessage"]
        assert payload["errors"] == []
        batch.on_acknowledged(key, payload["message"]["seq"])


async def kill_during_sends(server: Process, batch: MessageBatch, share: int) -> None:
    """Kill the server during the next `share` acknowledgements, and start it again."""
    moment = len(batch.acknowledged_seqs) + random.randint(1, share)
    sending = asyncio.create_task(send_batch(server, batch, batch.unacknowledged))
    await batch.until(moment)
    await server.kill()
    await sending
    await server.start()


async def check_stored(reader: UserClient, rooms: Sequence[str], batch: MessageBatch) -> int:
    """Assert that all acknowledged messages are stored once, at their seq, without gaps. Returns the number stored."""
    stored = 0
    for room_id in rooms:
        log = await full_history(reader, room_id)
        assert [seq for seq, _ in log] == list(range(USERS + 1, USERS + 1 + len(log)))
        found = {body: seq for seq, body in log}
        assert len(found) == len(log)
        assert found.keys() <= batch.of(room_id)
        acknowledged = {key: seq for key, seq in batch.acknowledged_seqs.items() if key in batch.of(room_id)}
        assert acknowledged.items() <= found.items()
        stored += len(log)
    return stored


async def test_a_server_killed_during_sends_has_stored_all_acknowledged_messages(
    database_url: str, tmp_path: Path
) -> None:
    count, kills = full_or_short(10_000, 500), full_or_short(8, 2)
    async with processes(1, database_url, tmp_path, access_token_seconds=86_400) as [server], AsyncExitStack() as stack:
        names = [f"person{number}" for number in range(USERS)]
        people = [await stack.enter_async_context(await sign_up(server.app, name)) for name in names]
        ids = [person.id for person in people]
        rooms = [await people[0].create_room(name, memberIds=ids) for name in ("den", "hall", "attic")]
        batch = make_batch(people, rooms, count)
        for _ in range(kills):
            await kill_during_sends(server, batch, share=count // (kills + 1))
            await check_stored(people[0], rooms, batch)
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while batch.unacknowledged:  # a keep-alive connection may end during a request
                await send_batch(server, batch, batch.unacknowledged)
        assert await check_stored(people[0], rooms, batch) == count
        await send_batch(server, batch, random.sample(list(batch.messages), 100))  # already stored: each keeps its seq
        assert await check_stored(people[0], rooms, batch) == count
