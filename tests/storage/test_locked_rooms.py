"""A lock that another transaction holds delays only the changes of its own room, and those for a few seconds
at most."""

import asyncio
import sqlite3
from pathlib import Path

import asyncpg
import pytest

from tests.api_clients import SEND, GraphQLErrors, UserClient, sign_up
from tests.conftest import MakeApp
from tests.running_app import RunningApp
from tests.storage.conftest import ON_POSTGRESQL, locked_rooms, stored
from tests.storage.proxy import PostgresProxy

EDIT = "mutation($input: EditMessageInput!) { editMessage(input: $input) { errors { code } message { body } } }"


async def bodies(app: RunningApp, person: UserClient, room: str) -> list[str]:
    query = "query($id: ID!) { room(id: $id) { messages(last: 100) { edges { node { body } } } } }"
    edges = (await person.execute(query, id=room))["room"]["messages"]["edges"]
    return [edge["node"]["body"] for edge in edges]


@ON_POSTGRESQL
async def test_sends_to_other_rooms_go_on_while_a_room_is_locked(
    app: RunningApp, ann: UserClient, database_url: str
) -> None:
    stuck, *others = [await ann.create_room(f"room {number}") for number in range(6)]
    async with locked_rooms(database_url, stuck):
        waiting = [asyncio.create_task(ann.send(stuck, f"late {number}")) for number in range(5)]
        async with asyncio.timeout(5):
            for round_ in range(3):
                sent = await asyncio.gather(*(ann.send(room, f"on time {round_}") for room in others))
                assert [payload["errors"] for payload in sent] == [[]] * 5
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    for answer in answers:
        assert isinstance(answer, GraphQLErrors)
        assert answer.codes == ["INTERNAL"]
        assert answer.errors[0]["extensions"]["retryable"] is True
        assert answer.errors[0]["extensions"]["retryAfterMs"] > 0
    assert await stored(database_url, stuck) == []  # refused messages are not stored
    assert app.roomcast.backend.message_sender.deferred >= 5


@ON_POSTGRESQL
async def test_sends_to_a_room_that_is_locked_for_a_moment_succeed(
    app: RunningApp, ann: UserClient, database_url: str
) -> None:
    room_id = await ann.create_room("den")
    async with locked_rooms(database_url, room_id):
        waiting = [asyncio.create_task(ann.send(room_id, str(number))) for number in range(5)]
        while app.roomcast.backend.message_sender.deferred == 0:  # noqa: ASYNC110 (it has to be polled)
            await asyncio.sleep(0.01)
    assert [payload["errors"] for payload in await asyncio.gather(*waiting)] == [[]] * 5
    assert sorted(await stored(database_url, room_id)) == list("01234")


@ON_POSTGRESQL
async def test_a_change_of_a_locked_room_fails_soon_and_can_be_retried(
    app: RunningApp, ann: UserClient, database_url: str
) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, "first")
    async with locked_rooms(database_url, room_id), asyncio.timeout(10):
        with pytest.raises(GraphQLErrors) as refused:
            await ann.mutate(EDIT, messageId=message["id"], body="second")
    assert refused.value.codes == ["INTERNAL"]
    assert "Nothing was changed" in refused.value.errors[0]["message"]
    assert (await ann.mutate(EDIT, messageId=message["id"], body="third"))["message"]["body"] == "third"


@ON_POSTGRESQL
async def test_a_locked_membership_delays_only_its_user(
    app: RunningApp, ann: UserClient, bob: UserClient, database_url: str
) -> None:
    room_id, other_room_id = await ann.create_room("den"), await ann.create_room("hall")
    await bob.join(room_id)
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await connection.execute(
            "SELECT 1 FROM memberships JOIN users ON users.id = user_id WHERE username = 'bob' FOR UPDATE"
        )
        bob_connection = asyncio.create_task(bob.send(room_id, "mine"))
        ann_connection = asyncio.create_task(ann.send(room_id, "yours"))
        async with asyncio.timeout(5):
            assert (await ann.send(other_room_id, "elsewhere"))["errors"] == []
        with pytest.raises(GraphQLErrors):
            await bob_connection
        assert (await ann_connection)["errors"] == []
    await connection.close()
    assert await stored(database_url, room_id) == ["yours"]


@ON_POSTGRESQL
async def test_a_send_stopped_before_its_group_started_is_not_stored(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    async with await sign_up(proxied, "ann") as ann, ann.connect() as connection:
        room_id = await ann.create_room("den")
        fault = proxy.stall(b"COMMIT;")
        first = asyncio.create_task(ann.send(room_id, "first"))
        await fault.reached.wait()
        stopped = [
            await connection.subscribe(SEND, input={"roomId": room_id, "body": f"stopped {n}"}) for n in range(6)
        ]
        await _until_waiting(proxied, 6)
        for operation in stopped:
            await operation.stop()
        await connection.execute("{ __typename }")  # sent after the stops, so they have been handled
        fault.release()
        assert (await first)["errors"] == []
        await ann.send_messages(room_id, "last")
    assert await stored(database_url, room_id) == ["first", "last"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_locked_file_stops_sends_with_a_retryable_error(
    app: RunningApp, ann: UserClient, database_url: str, tmp_path: Path
) -> None:
    room_id = await ann.create_room("den")
    with sqlite3.connect(tmp_path / "roomcast.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GraphQLErrors) as refused:
            await ann.send(room_id, "locked")
        other.execute("ROLLBACK")
    other.close()
    assert refused.value.codes == ["INTERNAL"]
    assert (await ann.send(room_id, "free"))["errors"] == []
    assert await bodies(app, ann, room_id) == ["free"]


@ON_POSTGRESQL
async def test_two_processes_that_send_to_the_same_rooms_wait_in_groups(make_app: MakeApp, database_url: str) -> None:
    apps = [await make_app(rate_limits="off") for _ in range(2)]
    async with await sign_up(apps[0], "ann") as ann, await sign_up(apps[1], "bob") as bob:
        rooms = [await ann.create_room(f"room {number}", memberIds=[bob.id]) for number in range(5)]
        sends = [person.send(room, f"{person.name} {n}") for n in range(8) for room in rooms for person in (ann, bob)]
        assert [payload["errors"] for payload in await asyncio.gather(*sends)] == [[]] * 80
    expected = sorted(f"{name} {number}" for name in ("ann", "bob") for number in range(8))
    for room in rooms:
        assert sorted(await stored(database_url, room)) == expected
    for app in apps:
        assert app.roomcast.backend.message_sender.fallbacks == app.roomcast.backend.message_sender.retries == 0


async def test_duplicates_in_one_group_are_one_message_and_one_transaction(app: RunningApp, bob: UserClient) -> None:
    room_id = await bob.create_room("den")
    sender = app.roomcast.backend.message_sender
    keys = [f"00000000-0000-4000-8000-{number:012}" for number in range(30)]
    sends = [bob.send(room_id, key, clientMessageId=key) for key in keys for _ in range(3)]
    groups = sender.groups
    payloads = await asyncio.gather(*sends)
    assert [payload["errors"] for payload in payloads] == [[]] * 90
    assert sum(payload["replayed"] for payload in payloads) == 60
    assert len({payload["message"]["id"] for payload in payloads}) == 30
    assert sorted(await bodies(app, bob, room_id)) == keys
    assert sender.fallbacks == sender.retries == 0
    assert sender.groups - groups < 60  # some of them were in one group


async def _until_waiting(app: RunningApp, count: int) -> None:
    async with asyncio.timeout(5):
        while app.roomcast.backend.message_sender.waiting < count:  # noqa: ASYNC110 (it has to be polled)
            await asyncio.sleep(0.005)
