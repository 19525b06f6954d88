"""A server killed during sends: every acknowledged message is stored once and in order, and sending the others again
completes the set."""

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
from tests.delivery.resuming_clients import CATCH_UP_SECONDS, Json, many, the_log
from tests.process import Process, processes

pytestmark = pytest.mark.chaos

PEOPLE, LANES = 4, 40
"""Who sends, and how many requests are under way at once."""


@dataclass
class Post:
    """Messages to be sent, by clientMessageId. `places`: the room's seq of those that the server acknowledged."""

    wishes: dict[str, tuple[UserClient, Json]]
    places: dict[str, int] = field(default_factory=dict)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def open(self) -> list[str]:
        return [key for key in self.wishes if key not in self.places]

    def of(self, room_id: str) -> set[str]:
        return {key for key, (_, sent) in self.wishes.items() if sent["roomId"] == room_id}

    def acknowledged(self, key: str, seq: int) -> None:
        assert self.places.setdefault(key, seq) == seq, "one message has one place"
        self.more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while len(self.places) < count:
                self.more.clear()
                await self.more.wait()


def written(people: Sequence[UserClient], rooms: Sequence[str], count: int) -> Post:
    keys = [str(uuid.uuid4()) for _ in range(count)]
    return Post(
        {
            key: (random.choice(people), {"roomId": random.choice(rooms), "body": key, "clientMessageId": key})
            for key in keys
        }
    )


async def post(server: Process, letters: Post, keys: Collection[str]) -> None:
    """Send each of these once, many at a time, as far as the server lives."""
    queue = iter(keys)
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=LANES)) as http:
        await asyncio.gather(*(_lane(http, server, letters, queue) for _ in range(LANES)))


async def _lane(http: httpx.AsyncClient, server: Process, letters: Post, queue: Iterator[str]) -> None:
    for key in queue:
        person, sent = letters.wishes[key]
        try:
            answer = await http.post(
                f"{server.url}/graphql",
                json={"query": SEND, "variables": {"input": sent}},
                headers={"authorization": f"Bearer {person.token}"},
            )
        except httpx.TransportError:
            return  # whether it is stored, nobody can tell
        payload = answer.json()["data"]["sendMessage"]
        assert payload["errors"] == []
        letters.acknowledged(key, payload["message"]["seq"])


async def killed_midway(server: Process, letters: Post, share: int) -> None:
    """Kill the server at a moment of the next `share` acknowledgements, and start it again."""
    moment = len(letters.places) + random.randint(1, share)
    posting = asyncio.create_task(post(server, letters, letters.open))
    await letters.until(moment)
    await server.kill()
    await posting
    await server.start()


async def nothing_lost(reader: UserClient, rooms: Sequence[str], letters: Post) -> int:
    """All that was acknowledged stands in its place, once, and no sequence has a hole. How many are stored."""
    stored = 0
    for room_id in rooms:
        log = await the_log(reader, room_id)
        assert [seq for seq, _ in log] == list(range(PEOPLE + 1, PEOPLE + 1 + len(log)))
        found = {body: seq for seq, body in log}
        assert len(found) == len(log)
        assert found.keys() <= letters.of(room_id)
        kept = {key: seq for key, seq in letters.places.items() if key in letters.of(room_id)}
        assert kept.items() <= found.items()
        stored += len(log)
    return stored


async def test_a_server_killed_during_sends_has_stored_all_acknowledged_messages(
    database_url: str, tmp_path: Path
) -> None:
    count, kills = many(10_000, 500), many(8, 2)
    async with processes(1, database_url, tmp_path, access_token_seconds=86_400) as [server], AsyncExitStack() as stack:
        names = [f"person{number}" for number in range(PEOPLE)]
        people = [await stack.enter_async_context(await sign_up(server.app, name)) for name in names]
        ids = [person.id for person in people]
        rooms = [await people[0].create_room(name, memberIds=ids) for name in ("den", "hall", "attic")]
        letters = written(people, rooms, count)
        for _ in range(kills):
            await killed_midway(server, letters, share=count // (kills + 1))
            await nothing_lost(people[0], rooms, letters)
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while letters.open:  # a connection may still end as a request leaves, killed server or not
                await post(server, letters, letters.open)
        assert await nothing_lost(people[0], rooms, letters) == count
        await post(server, letters, random.sample(list(letters.wishes), 100))  # known by now: each in its old place
        assert await nothing_lost(people[0], rooms, letters) == count
