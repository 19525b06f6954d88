"""Two real servers on one PostgreSQL and one Redis: changes in one take effect in the other within a second."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import servers
from tests.accounts.documents import A_SECOND, BAN, LOGOUT
from tests.api_clients import (
    ROOM_EVENTS,
    SEND,
    AnonymousClient,
    ClientSubscription,
    Json,
    SocketClient,
    UserClient,
    sign_up,
)
from tests.process import Process, processes
from tests.rooms.documents import DELETE, change

pytestmark = pytest.mark.chaos

Action = Callable[[UserClient, UserClient, str], Awaitable[object]]

LOSSES: dict[str, tuple[Action, str]] = {
    "leaving": (lambda ann, bob, room_id: bob.leave(room_id), "REMOVED_FROM_ROOM"),
    "removal": (
        lambda ann, bob, room_id: change(ann, "removeMember", roomId=room_id, userId=bob.id),
        "REMOVED_FROM_ROOM",
    ),
    "deletion": (lambda ann, bob, room_id: ann.mutate(DELETE, roomId=room_id), "ROOM_DELETED"),
    "a-ban": (lambda ann, bob, room_id: ann.mutate(BAN, userId=bob.id), "BANNED"),
    "logout": (lambda ann, bob, room_id: bob.execute(LOGOUT), "SESSION_REVOKED"),
}
"""An action of ann, an administrator, or of bob in one process, and the end reason of his streams in the other."""


@pytest.fixture
def redis_url() -> Iterator[str]:
    try:
        server = servers.start_redis("PATH", "wheel")
    except servers.Unavailable as reason:
        servers.skip(reason)
    with closing(server):
        yield server.url


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_lost_access_takes_effect_in_the_other_process(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with (
        processes(2, database_url, tmp_path, bus_url=redis_url) as (first, second),
        await sign_up(first.app, "ann") as ann,
    ):
        for name, (action, reason) in LOSSES.items():
            async with await sign_up(first.app, f"bob_{name.replace('-', '_')}") as bob:
                room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
                bob.app = second.app  # his sockets; his requests still go to the first process
                async with bob.connect() as connection:
                    subscription = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
                    await subscription.wait_until_ready()
                    await action(ann, bob, room_id)
                    async with asyncio.timeout(A_SECOND):
                        await check_stream_end(subscription, reason)
                    await check_connection(connection, subscription, reason)


async def check_stream_end(subscription: ClientSubscription, reason: str) -> None:
    ended = await subscription.next_event()
    assert (ended["__typename"], ended["reason"]) == ("StreamEnded", reason)
    if reason in ("REMOVED_FROM_ROOM", "ROOM_DELETED"):
        assert (await subscription.next_message())["type"] == "complete"


async def check_connection(connection: SocketClient, subscription: ClientSubscription, reason: str) -> None:
    """Losing a room ends only its streams; losing the session closes the socket."""
    if reason in ("REMOVED_FROM_ROOM", "ROOM_DELETED"):
        assert "errors" not in await connection.execute("{ me { id } }")
        assert subscription.is_empty
    else:
        assert (await connection.closed())[0] == 4401


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_same_send_to_both_at_once_and_after_a_restart_is_one_message(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        processes(2, database_url, tmp_path, bus_url=redis_url) as both,
        await sign_up(both[0].app, "ann") as ann,
    ):
        room_id, key = await ann.create_room("den"), str(uuid.uuid4())
        message = {"roomId": room_id, "body": "once", "clientMessageId": key}
        payloads = await asyncio.gather(*(send_to(both[number % 2], ann, message) for number in range(5)))
        await both[0].kill()
        await both[0].start()
        payloads.append(await send_to(both[0], ann, message))
        assert {payload["message"]["id"] for payload in payloads} == {f"msg_{key}"}
        assert sorted(payload["replayed"] for payload in payloads) == [False] + [True] * 5
        assert [message["seq"] for message in await ann.send_messages(room_id, "next")] == [3]


async def send_to(process: Process, person: UserClient, message: Json) -> Json:
    async with AnonymousClient(process.app, person.token) as client:
        return await client.mutate(SEND, **message)
