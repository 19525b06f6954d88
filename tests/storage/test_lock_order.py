"""Transactions of one room take their locks in the same order, so they do not deadlock."""

import asyncio
from datetime import timedelta

import asyncpg

from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.notifications import pending
from tests.api_clients import UserClient
from tests.notifications.browsers import PushService, subscribe
from tests.notifications.conftest import app, service  # noqa: F401 (fixtures)
from tests.rooms.documents import DELETE
from tests.running_app import RunningApp
from tests.storage.conftest import ON_POSTGRESQL, id_of


@ON_POSTGRESQL
async def test_deleting_a_room_does_not_deadlock_with_the_notifier(
    app: RunningApp,  # noqa: F811
    ann: UserClient,
    bob: UserClient,
    cleo: UserClient,
    service: PushService,  # noqa: F811
    database_url: str,
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    await subscribe(bob, service)
    await ann.send_messages(room_id, "hello @bob")
    await scan_and_store(app.roomcast.db, room_id)
    await subscribe(cleo, service)
    await ann.send_messages(room_id, "hello @bob and @cleo")
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT 1 FROM pending_pushes FOR UPDATE")  # the notifier waits for these
    scanning = asyncio.create_task(scan_and_store(app.roomcast.db, room_id))
    await until_blocked(database_url, 1)
    deleting = asyncio.create_task(ann.mutate(DELETE, roomId=room_id))
    await until_blocked(database_url, 2)
    await transaction.rollback()
    await connection.close()
    await scanning
    assert (await deleting)["errors"] == []


@ON_POSTGRESQL
async def test_the_notifier_skips_a_deleted_room(
    app: RunningApp,  # noqa: F811
    ann: UserClient,
    bob: UserClient,
    service: PushService,  # noqa: F811
) -> None:
    room_id, other_room_id = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    browser = await subscribe(bob, service)
    await ann.send_messages(room_id, "gone")
    await ann.send_messages(other_room_id, "kept")
    db = app.roomcast.db
    async with db.read() as session:
        found = await pending.scan_logs(session, [id_of(room_id), id_of(other_room_id)], now())
    assert (await ann.mutate(DELETE, roomId=room_id))["errors"] == []
    async with db.work() as work:
        await pending.store_findings(work, found, timedelta(0))
    assert app.roomcast.backend.notifier is not None
    await app.roomcast.backend.notifier.deliver()
    assert (await browser.next_payload())["text"] == "kept"


async def scan_and_store(db: Database, room: str) -> None:
    async with db.read() as session:
        found = await pending.scan_logs(session, [id_of(room)], now())
    async with db.work() as work:
        await pending.store_findings(work, found, timedelta(0))


async def until_blocked(database_url: str, count: int) -> None:
    """Wait until `count` sessions of the database wait for a lock."""
    connection = await asyncpg.connect(database_url)
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(5):
        while await connection.fetchval(query) < count:  # noqa: ASYNC110 (the database has to be polled)
            await asyncio.sleep(0.01)
    await connection.close()
