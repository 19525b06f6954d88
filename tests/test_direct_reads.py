"""Reads through the driver return what SQLAlchemy returns, from one snapshot."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import product
from operator import attrgetter
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from roomcast.accounts.models import User, UserRecord
from roomcast.core import event_log
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.db import Database, Snapshot
from roomcast.core.direct_queries import read_direct
from roomcast.core.event_log import HeadRecord, RoomHead
from roomcast.core.ids import uuid7
from roomcast.core.keyed_reads import records_by
from roomcast.core.paging import Key, PagedList, Window, page, write_cursor
from roomcast.core.records import record_columns
from roomcast.messages.models import Message, MessageRecord
from roomcast.rooms.models import Membership, MembershipRecord, Room, RoomRecord
from roomcast.uploads.models import File, FileRecord
from tests.api_clients import UserClient
from tests.messages.documents import REACT
from tests.running_app import RunningApp
from tests.statements import statements

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 60_708, UTC)


async def store(db: Database, *models: Any) -> None:
    async with db.work() as work:
        for model in models:
            work.session.add(model)
            await work.session.flush()


def user(number: int = 0) -> User:
    name = f"ann{number}"
    return User(
        username=name,
        username_key=name,
        display_name="Ä ’ 🎉",
        search_key=name,
        password_hash="x",
        created_at=MOMENT,
        avatar_id=uuid7() if number else None,
    )


async def test_a_record_has_the_values_of_its_model(app: RunningApp) -> None:
    ann = user()
    room = Room(name="den", created_at=MOMENT, created_by_id=ann.id, archived_at=MOMENT.replace(microsecond=0))
    member = Membership(room_id=room.id, user_id=ann.id, joined_at=MOMENT, last_read_seq=2**40, favourite=True)
    message = Message(room_id=room.id, seq=1, author_id=ann.id, body="hello 🎉", created_at=MOMENT, pinned_at=MOMENT)
    deleted = Message(room_id=room.id, seq=2, kind="SYSTEM", created_at=MOMENT, deleted_at=MOMENT, mentions_room=True)
    file = File(owner_id=ann.id, filename="a.png", declared_type="image/png", byte_size=2**40, created_at=MOMENT)
    await store(app.roomcast.db, ann, room, member, message, deleted, file)
    kinds: list[tuple[Any, Any, Sequence[Any]]] = [
        (User, UserRecord, [ann]),
        (Room, RoomRecord, [room]),
        (Membership, MembershipRecord, [member]),
        (Message, MessageRecord, [message, deleted]),
        (File, FileRecord, [file]),
    ]
    async with app.roomcast.db.read() as session:
        for model, record, stored in kinds:
            key = [column.key for column in table(model).primary_key]
            rows = await records_by(model, record, *key)(session, list(map(attrgetter(*key), stored)))
            models = (await session.exec(select(model))).all()
            assert len(rows) == len(models) == len(stored)
            properties = [name for name, value in vars(model).items() if isinstance(value, property)]
            for each in models:
                row: Any = rows[attrgetter(*key)(each)]
                assert row._asdict() == each.model_dump(include=set(row._fields))
                assert [getattr(row, name) for name in properties] == [getattr(each, name) for name in properties]


def test_a_record_cannot_be_written() -> None:
    head = HeadRecord._make([uuid7(), 1, 1, now()])  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        head.last_seq = 2


async def test_both_kinds_of_reads_see_one_snapshot(app: RunningApp) -> None:
    db, room_id, later = app.roomcast.db, uuid7(), uuid7()

    async def direct(snapshot: Snapshot, id_: Any) -> bool:
        async with snapshot.session() as session:
            return bool(await event_log.heads_by_id(session, [id_]))

    async def by_model(snapshot: Snapshot, id_: Any) -> bool:
        async with snapshot.session() as session:
            return await session.get(RoomHead, id_) is not None

    await store(db, RoomHead(room_id=room_id, last_activity_at=now()))
    for first, second in product([direct, by_model], repeat=2):
        later = uuid7()
        async with Snapshot(db) as snapshot:
            assert await first(snapshot, room_id)
            await store(db, RoomHead(room_id=later, last_activity_at=now()))
            assert not await second(snapshot, later)
            assert not await first(snapshot, later)
        async with Snapshot(db) as snapshot:
            assert await second(snapshot, later)
    assert db.refused_connections == 0
    assert sum(pool.checkedout() for pool in db.pools.values()) == 0


async def test_a_read_session_cannot_write(app: RunningApp) -> None:
    async def delete_heads() -> None:
        async with app.roomcast.db.read() as session:
            await event_log.heads_by_id(session, [uuid7()])
            await session.exec(sa.delete(RoomHead))

    with pytest.raises(sa.exc.DBAPIError):
        await delete_heads()


HEADS = table(RoomHead).c
KEYS = {
    "one": [Key(HEADS.room_id)],
    "falling": [Key(HEADS.last_activity_at, descending=True), Key(HEADS.room_id, descending=True)],
    "rising": [Key(HEADS.last_seq), Key(HEADS.room_id)],
}


@pytest.mark.parametrize("name", KEYS)
async def test_a_page_through_the_driver_is_the_page_of_sqlalchemy(app: RunningApp, name: str) -> None:
    keys, db = KEYS[name], app.roomcast.db
    heads = [
        RoomHead(room_id=uuid7(), last_seq=number % 3, last_activity_at=MOMENT.replace(second=number % 4))
        for number in range(9)
    ]
    await store(db, *heads)
    is_low = col(RoomHead.last_seq) < sa.bindparam("below")
    pages = PagedList("heads", sa.select(*record_columns(HeadRecord, RoomHead)).where(is_low), keys, (HeadRecord,))
    values = [tuple(getattr(head, key.column.key) for key in keys) for head in heads[::3]]  # type: ignore[arg-type]
    cursors = [None, *(write_cursor("heads", each) for each in values)]
    async with db.read() as session:
        for below, size, from_end, after, before in product((0, 2, 9), (1, 4, 20), (False, True), cursors, cursors):
            wanted = Window(size, from_end, after, before)
            found = await read_direct(session, pages.page(wanted, {"below": below}))
            models = sa.select(RoomHead).where(col(RoomHead.last_seq) < below)
            expected = await page(session, "heads", models, keys, wanted)
            assert [row.room_id for (row,) in found.rows] == [row.room_id for (row,) in expected.rows], wanted
            assert found.cursors == expected.cursors
            assert (found.has_next, found.has_previous) == (expected.has_next, expected.has_previous), wanted


PAGE = (
    "query($id: ID!) { messages(roomId: $id, last: 20) { streamCursor edges { cursor node { body author { username } "
    "reactions { count viewerHasReacted } replyTo { body author { username } } } } } }"
)


async def test_a_page_needs_as_many_statements_for_many_messages_as_for_one(
    app: RunningApp, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id])
    [first] = await bob.send_messages(room_id, "one")
    await bob.send(room_id, "a reply", replyToId=first["id"])
    await bob.mutate(REACT, messageId=first["id"], emoji="👍")
    found, pages = [], []
    for _ in range(2):
        with statements() as executed:
            pages.append((await cleo.execute(PAGE, id=room_id))["messages"]["edges"])
        found.append(len(executed))
        for message in [*await cleo.send_messages(room_id, "two", "three"), first]:
            await cleo.send(room_id, "a reply", replyToId=message["id"])
            await cleo.mutate(REACT, messageId=message["id"], emoji="👍")
    assert found[0] == found[1] <= 6
    assert len(pages[1]) == 7
    [own] = [edge["node"] for edge in pages[1] if edge["node"]["body"] == "two"]
    assert own["reactions"] == [{"count": 1, "viewerHasReacted": True}]
    assert pages[1][-1]["node"]["replyTo"] == {"body": "one", "author": {"username": "bob"}}
