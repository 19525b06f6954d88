"""`roomcast migrate --partitions`: a database with messages is partitioned, and clients notice nothing."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from roomcast.core import migrations, partitions
from roomcast.core.migrations import UnusableDatabase
from tests import servers
from tests.api_clients import LOGIN, PASSWORD, AnonymousClient, UserClient, sign_up
from tests.running_app import RunningApp, open_app, settings_for
from tests.test_migrations import differences

PAGE = (
    "query Page($id: ID!) { room(id: $id) { messages(last: 50) { nodes { id seq body reactions { emoji count } "
    "revisions(first: 5) { nodes { body } } thread { replyCount } } } } }"
)
SEARCH = '{ searchMessages(query: "hello", first: 20) { nodes { id } } }'
REACT = 'mutation ($id: ID!) { addReaction(input: {messageId: $id, emoji: "👍"}) { errors { code } } }'
EDIT = 'mutation ($id: ID!) { editMessage(input: {messageId: $id, body: "hello again @bob"}) { errors { code } } }'
DELETE_ROOM = "mutation ($id: ID!) { deleteRoom(input: {roomId: $id}) { errors { code } } }"


@pytest_asyncio.fixture
async def plain_url(postgres_server: servers.Server) -> str:
    url = await servers.create_database(postgres_server.url, f"partitions_{uuid4().hex}")
    await migrations.upgrade(url)
    return url


async def fill(ann: UserClient) -> tuple[str, str, list[str]]:
    """Two rooms, and the ids of the messages of the first."""
    room, other = await ann.create_room("one"), await ann.create_room("two")
    ids = [message["id"] for message in await ann.send_messages(room, *(f"hello {number}" for number in range(5)))]
    await ann.send(room, "a reply", threadRootId=ids[0])
    await ann.send_messages(other, "hello elsewhere")
    await ann.execute(REACT, id=ids[1])
    await ann.execute(EDIT, id=ids[2])
    return room, other, ids


async def log_in(app: RunningApp) -> UserClient:
    async with AnonymousClient(app) as anonymous:
        return UserClient(app, "ann", await anonymous.mutate(LOGIN, usernameOrEmail="ann", password=PASSWORD))


async def counts(url: str, *tables: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables]  # noqa: S608 (names of our tables)
    finally:
        await connection.close()


async def test_clients_of_a_filled_database_notice_nothing(plain_url: str, tmp_path: Path) -> None:
    settings = settings_for(plain_url, tmp_path)
    async with open_app(settings) as app, await sign_up(app, "ann") as ann:
        room, _, _ = await fill(ann)
        before = await ann.execute(PAGE, id=room), await ann.execute(SEARCH)
    connection = await asyncpg.connect(plain_url)
    # As rows of a release before migration 0011.
    await connection.execute("UPDATE reactions SET room_id = NULL; UPDATE message_texts SET room_id = NULL")
    await connection.close()
    assert "rows were copied and compared" in await partitions.partition(plain_url, 4)
    assert await partitions.partition(plain_url, 4) == "The tables already have 4 partitions."
    with pytest.raises(UnusableDatabase, match="have 4 partitions already"):
        await partitions.partition(plain_url, 8)
    async with open_app(settings) as app, await log_in(app) as ann:
        assert (await ann.execute(PAGE, id=room), await ann.execute(SEARCH)) == before
        await ann.send_messages(room, "hello after")
        found = (await ann.execute(SEARCH))["searchMessages"]["nodes"]
        assert len(found) == len(before[1]["searchMessages"]["nodes"]) + 1


async def test_ids_of_messages_stay_unique_over_all_rooms(plain_url: str, tmp_path: Path) -> None:
    key, settings = str(uuid4()), settings_for(plain_url, tmp_path)
    async with open_app(settings) as app, await sign_up(app, "ann") as ann:
        room, other, _ = await fill(ann)
        sent = await ann.send(room, "hello once", clientMessageId=key)
    await partitions.partition(plain_url, 4)
    async with open_app(settings) as app, await log_in(app) as ann:
        again = await ann.send(room, "hello once", clientMessageId=key)
        assert (again["replayed"], again["message"]["id"]) == (True, sent["message"]["id"])
        refused = await ann.send(other, "hello once", clientMessageId=key)
        assert [error["code"] for error in refused["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
        await ann.execute(DELETE_ROOM, id=room)
    ids, messages, *gone = await counts(plain_url, "message_ids", "messages", "reactions", "former_bodies")
    assert (ids, gone) == (messages, [0, 0])
    connection = await asyncpg.connect(plain_url)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "INSERT INTO messages (room_id, seq, id, kind, content_digest, created_at, revision) "
            "SELECT room_id, seq + 1000, id, kind, content_digest, created_at, revision FROM messages LIMIT 1"
        )
    await connection.close()


async def test_the_schema_differs_from_the_models_only_as_partitions_need_it(plain_url: str) -> None:
    await partitions.partition(plain_url, 2)
    found = {summary(each) for each in await differences(plain_url)}
    references = ("files", "former_bodies", "mentions", "message_texts", "reactions", "reports", "thread_states")
    assert {each for each in found if not re.search(r"_p\d$", each[1])} == {
        ("remove_table", "message_ids"),
        ("remove_index", "messages"),
        ("add_constraint", "messages"),
        ("remove_constraint", "message_texts"),
        ("add_constraint", "message_texts"),
        *(("modify_nullable", table.name) for table in partitions.TABLES if table.needs_room),
        *((change, table) for change in ("remove_fk", "add_fk") for table in references),
    }


def summary(difference: Any) -> tuple[str, str]:
    """The kind of a difference that Alembic has found, and the name of its table."""
    if isinstance(difference, list):  # of one column
        [difference] = difference
        return difference[0], difference[2]
    kind, changed = difference
    return kind, changed.name if kind.endswith("_table") else changed.table.name


async def test_a_running_migration_is_not_waited_for(plain_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LOCK_SECONDS", 1)
    connection = await asyncpg.connect(plain_url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1::bigint)", migrations.LOCK)
        with pytest.raises(UnusableDatabase, match="being migrated"):
            await partitions.partition(plain_url, 4)
    finally:
        await connection.close()


async def test_tables_in_use_are_refused_in_words(plain_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LOCK_SECONDS", 1)
    connection = await asyncpg.connect(plain_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE messages IN ACCESS SHARE MODE")
            with pytest.raises(UnusableDatabase, match="stop all servers"):
                await partitions.partition(plain_url, 4)
    finally:
        await connection.close()
