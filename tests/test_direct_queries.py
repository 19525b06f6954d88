"""Statements that go straight to the driver return and raise the same as through SQLAlchemy."""

from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlmodel import select

from roomcast.core import event_log
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.db import is_outage
from roomcast.core.direct_queries import DirectQuery, execute_direct, fetch_direct
from roomcast.core.event_log import LogEntry, RoomHead
from tests.running_app import RunningApp

HEADS = sa.select(table(RoomHead)).where(table(RoomHead).c.room_id.in_(sa.bindparam("ids", expanding=True)))


async def test_a_list_of_any_length_selects_its_rows(app: RunningApp) -> None:
    ids = [uuid4() for _ in range(5)]
    async with app.roomcast.db.work() as work:
        for id_ in ids:
            await event_log.open_log(work.session, id_, now())
    async with app.roomcast.db.read() as session:
        for length in range(6):
            [rows] = await fetch_direct(session, DirectQuery(HEADS, {"ids": ids[:length]}))
            assert {row.room_id for row in rows} == set(ids[:length])


async def test_several_queries_return_their_rows_in_order(app: RunningApp) -> None:
    known, unknown = uuid4(), uuid4()
    async with app.roomcast.db.work() as work:
        await event_log.open_log(work.session, known, now())
        found = await fetch_direct(
            work.session, *(DirectQuery(HEADS, {"ids": ids}) for ids in ([unknown], [], [known]))
        )
    assert [len(rows) for rows in found] == [0, 0, 1]


async def test_a_failed_write_rolls_its_transaction_back(app: RunningApp) -> None:
    room_id = uuid4()
    row = {"room_id": room_id, "seq": 1, "kind": "X", "at": now(), "data": {}}

    async def opened_twice() -> None:
        async with app.roomcast.db.work() as work:
            await event_log.open_log(work.session, room_id, now())
            await execute_direct(work.session, sa.insert(table(LogEntry)), [row, row])

    with pytest.raises(IntegrityError):
        await opened_twice()
    async with app.roomcast.db.read() as session:
        assert (await session.exec(select(RoomHead).where(RoomHead.room_id == room_id))).all() == []
    async with app.roomcast.db.work() as work:  # the connection has no open transaction any more
        await event_log.open_log(work.session, room_id, now())


async def test_a_transaction_of_the_driver_is_one_with_the_session_that_joins_it(app: RunningApp) -> None:
    db, row = app.roomcast.db, {"seq": 1, "kind": "X", "at": now(), "data": {}}

    async def stores(room_id: UUID, times: int) -> None:
        async with db.work(through_driver=True) as work:
            await work.begin()
            await execute_direct(work.session, sa.insert(table(LogEntry)), [{**row, "room_id": room_id}] * times)
            work.session.add(RoomHead(room_id=room_id, last_activity_at=now()))

    async def stored(room_id: UUID) -> tuple[int, int]:
        async with db.read() as session:
            heads = (await session.exec(select(RoomHead).where(RoomHead.room_id == room_id))).all()
            entries = (await session.exec(select(LogEntry).where(LogEntry.room_id == room_id))).all()
            return len(heads), len(entries)

    whole, failed = uuid4(), uuid4()
    await stores(whole, 1)
    with pytest.raises(IntegrityError):
        await stores(failed, 2)
    assert (await stored(whole), await stored(failed)) == ((1, 1), (0, 0))
    assert db.refused_connections == 0
    assert sum(pool.checkedout() for pool in db.pools.values()) == 0


@pytest.mark.parametrize("through_driver", [False, True])
async def test_an_error_of_the_commit_is_that_of_sqlalchemy(app: RunningApp, through_driver: bool) -> None:
    """SQLite reports a write of the driver at the commit, PostgreSQL at once."""
    db, row = app.roomcast.db, {"room_id": uuid4(), "seq": 1, "kind": "X", "at": now(), "data": {}}

    async def stores_twice() -> None:
        async with db.work(through_driver=through_driver) as work:
            await work.begin()
            await execute_direct(work.session, sa.insert(table(LogEntry)), [row, row])

    with pytest.raises(IntegrityError) as raised:
        await stores_twice()
    assert not is_outage(raised.value)
    assert db.refused_connections == 0


async def test_an_invalid_statement_is_not_an_outage(app: RunningApp) -> None:
    nowhere = sa.select(sa.table("nowhere", sa.column("id")))
    with pytest.raises(DBAPIError) as wrong:
        async with app.roomcast.db.read() as session:
            await fetch_direct(session, DirectQuery(nowhere, {}))
    assert app.roomcast.db.is_sqlite or (isinstance(wrong.value, ProgrammingError) and not is_outage(wrong.value))
