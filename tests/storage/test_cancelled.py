"""A task that is cancelled at any await leaves no connection inside a transaction, and loses no later commit."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select

from roomcast.core import event_log
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.db import CoalescingLoader, Database, Snapshot, Work
from roomcast.core.direct_queries import DirectQuery, execute_direct, fetch_direct
from roomcast.core.event_log import RoomHead
from roomcast.core.group_commit import GroupCommit
from roomcast.core.ids import uuid7
from roomcast.messages.events import MessageCreated
from tests.api_clients import SEND, sign_up
from tests.running_app import RunningApp
from tests.storage.conftest import ON_POSTGRESQL, stored
from tests.storage.proxy import PostgresProxy

MOMENTS = 40
"""Points in time at which a task is cancelled, spread evenly over its duration."""

HEADS = sa.select(table(RoomHead)).where(table(RoomHead).c.room_id.in_(sa.bindparam("ids", expanding=True)))

Step = Callable[[Database], Awaitable[None]]


async def writes(db: Database) -> None:
    async with db.work() as work:
        await fetch_direct(work.session, event_log.heads_lock_query([uuid7()]))
        row = {"room_id": uuid7(), "last_seq": 0, "last_activity_seq": 0, "last_activity_at": now()}
        await execute_direct(work.session, sa.insert(table(RoomHead)), [row, {**row, "room_id": uuid7()}])


async def writes_models(db: Database) -> None:
    async with db.work() as work:
        await event_log.open_log(work.session, uuid7(), now())


async def writes_through_the_driver(db: Database) -> None:
    async with db.work(through_driver=True) as work:
        await work.begin()
        await fetch_direct(work.session, event_log.heads_lock_query([uuid7()]))
        row = {"room_id": uuid7(), "last_seq": 0, "last_activity_seq": 0, "last_activity_at": now()}
        await execute_direct(work.session, sa.insert(table(RoomHead)), [row])


async def writes_models_in_a_transaction_of_the_driver(db: Database) -> None:
    async with db.work(through_driver=True) as work:
        await work.begin()
        await event_log.open_log(work.session, uuid7(), now())


async def reads(db: Database) -> None:
    async with db.read() as session:
        await fetch_direct(session, DirectQuery(HEADS, {"ids": [uuid7()]}))
        await event_log.epoch(session)


async def takes_a_snapshot(db: Database) -> None:
    async with Snapshot(db) as snapshot:
        for _ in range(2):
            async with snapshot.session() as session:
                await fetch_direct(session, DirectQuery(HEADS, {"ids": [uuid7()]}))


async def is_commit_visible(db: Database) -> bool:
    """Whether the next transaction sees what one transaction has committed."""
    room_id = uuid7()
    async with db.work() as work:
        await fetch_direct(work.session, event_log.heads_lock_query([room_id]))
        await event_log.open_log(work.session, room_id, now())
    async with db.read() as session:
        [rows] = await fetch_direct(session, DirectQuery(HEADS, {"ids": [room_id]}))
        return len(rows) == 1


STEPS = [
    writes,
    writes_models,
    writes_through_the_driver,
    writes_models_in_a_transaction_of_the_driver,
    reads,
    takes_a_snapshot,
]


@pytest.mark.parametrize("step", STEPS)
async def test_a_task_cancelled_at_any_time_loses_no_later_commit(app: RunningApp, step: Step) -> None:
    db, loop = app.roomcast.db, asyncio.get_running_loop()
    started = loop.time()
    await step(db)
    await step(db)
    moment = (loop.time() - started) / 2 / MOMENTS
    for number in range(MOMENTS):
        task = asyncio.ensure_future(step(db))
        await asyncio.sleep(number * moment)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if number % 4 == 0:
            assert await is_commit_visible(db)
    assert all(await asyncio.gather(*(is_commit_visible(db) for _ in range(16))))
    assert db.refused_connections == 0


@ON_POSTGRESQL
async def test_a_send_stopped_while_its_transaction_begins_loses_no_later_message(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    async with await sign_up(proxied, "ann") as ann, ann.connect() as connection:
        room_id = await ann.create_room("den")
        for round_ in range(3):
            fault = proxy.stall(b"BEGIN")
            stopped = await connection.subscribe(SEND, input={"roomId": room_id, "body": f"stopped {round_}"})
            await fault.reached.wait()
            await stopped.stop()
            fault.release()
        acknowledged = [
            message["body"] for message in await ann.send_messages(room_id, *(f"kept {n}" for n in range(20)))
        ]
    found = await stored(database_url, room_id)
    assert [body for body in found if body.startswith("kept")] == acknowledged


@ON_POSTGRESQL
async def test_a_task_cancelled_while_its_transaction_begins_loses_no_later_commit(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    db = proxied.roomcast.db
    fault = proxy.stall(b"BEGIN")
    task = asyncio.create_task(writes(db))
    await fault.reached.wait()
    task.cancel()
    await asyncio.wait([task])
    fault.release()
    assert all([await is_commit_visible(db) for _ in range(20)])


@ON_POSTGRESQL
async def test_a_commit_whose_caller_is_cancelled_publishes_its_events(proxy: PostgresProxy, database_url: str) -> None:
    published: list[object] = []
    db, room_id = Database(proxy.url, published.extend), uuid7()
    async with db.work() as work:
        await event_log.open_log(work.session, room_id, now())

    async def record() -> None:
        async with db.work() as work:
            await work.record(MessageCreated(room_id=room_id, at=now(), message_id=uuid7()))

    fault = proxy.stall(b"COMMIT;")
    task = asyncio.create_task(record())
    await fault.reached.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert published == []
    fault.release()
    await db.close()
    assert len(published) == 1
    assert db.refused_connections == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts the open files of the process")
async def test_a_task_cancelled_while_it_opens_the_file_leaves_no_open_file(database_url: str) -> None:
    path = database_url.removeprefix("sqlite:///")

    def open_files() -> int:
        return sum(os.path.realpath(link).startswith(path) for link in Path("/proc/self/fd").iterdir())

    async def read(db: Database) -> None:
        async with db.read() as session:
            await event_log.epoch(session)

    db, loop = Database(database_url), asyncio.get_running_loop()
    started = loop.time()
    await read(db)
    duration = loop.time() - started
    await db.close()
    cancelled = 0
    for moment in range(MOMENTS):
        db = Database(database_url)
        task = asyncio.create_task(read(db))
        await asyncio.sleep(moment / MOMENTS * duration)
        task.cancel()
        await asyncio.wait([task])
        cancelled += task.cancelled()
        await db.close()
        assert open_files() == 0
    assert cancelled


async def test_a_connection_returned_to_the_pool_inside_a_transaction_is_not_reused(app: RunningApp) -> None:
    db = app.roomcast.db
    async with db._writer.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        if db.is_sqlite:
            await driver.in_thread(lambda raw: raw.execute("BEGIN IMMEDIATE"))
        else:
            await driver.execute("BEGIN")
    assert db.refused_connections == 1
    db.refused_connections = 0
    assert all([await is_commit_visible(db) for _ in range(16)])


async def test_callers_of_a_cancelled_group_commit_or_loader_do_not_hang(app: RunningApp) -> None:
    started = asyncio.Event()

    class HangingGroups(GroupCommit[int, None]):
        async def run_group(self, work: Work, calls: Sequence[int]) -> Sequence[None]:
            started.set()
            await asyncio.Event().wait()
            return []

    async def load(_session: object, _keys: object) -> dict[int, int]:
        started.set()
        await asyncio.Event().wait()
        return {}

    groups, loader = HangingGroups(app.roomcast.db), CoalescingLoader(app.roomcast.db, load)
    for shared, call in ((groups, groups.submit), (loader, loader.__call__)):
        started.clear()
        callers = [asyncio.create_task(call(number)) for number in range(3)]
        await started.wait()
        callers.append(asyncio.create_task(call(9)))
        await asyncio.sleep(0)
        assert shared._task is not None
        shared._task.cancel()
        done, _ = await asyncio.wait(callers, timeout=5)
        assert len(done) == 4
    async with app.roomcast.db.read() as session:
        assert (await session.exec(select(RoomHead))).all() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_closed_database_has_no_thread_that_still_works(database_url: str) -> None:
    """A task that is cancelled twice does not wait until its connection is closed."""
    db, working = Database(database_url), asyncio.Event()
    loop, before = asyncio.get_running_loop(), set(threading.enumerate())

    def work() -> None:
        loop.call_soon_threadsafe(working.set)
        time.sleep(0.3)

    async def read() -> None:
        async with db.read() as session:
            connection = await session.connection()
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.create_function("work", 0, work)
            await connection.execute(sa.text("SELECT work()"))

    task = asyncio.create_task(read())
    await asyncio.wait_for(working.wait(), 5)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await db.close()
    assert not [thread for thread in set(threading.enumerate()) - before if "_connection_worker" in thread.name]
