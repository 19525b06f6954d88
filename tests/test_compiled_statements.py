"""No question reads a whole table: what people ask for is found by indexes, on each kind of database."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from roomcast import tables
from roomcast.accounts import queries as accounts
from roomcast.core import event_log
from roomcast.core.compiled_statements import compiled_statement
from roomcast.core.ids import uuid7
from roomcast.rooms import queries as rooms
from tests.api_clients import UserClient
from tests.messages.documents import REACT
from tests.receipts.test_unread import MARK_READ
from tests.running_app import RunningApp

ROOMS = (
    "query Rooms { me { totalUnread } rooms(first: 2) { nodes { id lastMessage { body } streamCursor "
    "viewerMembership { unreadCount mentionCount } viewerPermissions { canSend } } pageInfo { hasNextPage } } }"
)
PAGE = (
    "query Page($id: ID!, $before: String) { room(id: $id) { messages(last: 2, before: $before) { edges { cursor "
    "node { body author { username } replyTo { id } mentions { id } reactions { count viewerHasReacted } "
    "thread { replyCount lastReply { body } } } } pageInfo { hasNextPage hasPreviousPage } streamCursor } } }"
)

Question = tuple[str, Any]


@contextmanager
def questions() -> Iterator[set[Question]]:
    """Every statement of this process inside the block that looks for rows and goes through SQLAlchemy."""
    asked: set[Question] = set()

    def noted(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            asked.add((statement, parameters if isinstance(parameters, tuple) else tuple(parameters[0])))

    sa.event.listen(sa.Engine, "before_cursor_execute", noted)
    try:
        yield asked
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", noted)


async def scans(app: RunningApp, asked: set[Question]) -> dict[str, str]:
    """By question: the plan of each that reads some table of ours from end to end."""
    found = {}
    async with app.roomcast.db.work() as work:
        connection = await work.session.connection()
        explain, scan = "EXPLAIN QUERY PLAN ", r"\bSCAN (\w+)"
        if connection.dialect.name == "postgresql":  # which reads small tables whole, unless told what that would cost
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            explain, scan = "EXPLAIN ", r"Seq Scan on (\w+)"
        for statement, parameters in asked:
            rows = (await connection.exec_driver_sql(explain + statement, parameters)).all()
            plan = "\n".join(str(row[-1]) for row in rows)
            if set(re.findall(scan, plan)) & tables.metadata.tables.keys() - {"store"}:
                found[statement] = plan
    return found


async def test_what_people_do_in_rooms_reads_no_table_whole(app: RunningApp, bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", memberIds=[cleo.id])
    first, *_, last = await bob.say(den, "one", "two", "hello @cleo", "@room")
    await bob.send(den, "a reply", threadRootId=first["id"])
    with questions() as asked:
        await cleo.execute(ROOMS)
        page = await cleo.execute(PAGE, id=den)
        await cleo.execute(PAGE, id=den, before=page["room"]["messages"]["edges"][0]["cursor"])
        await cleo.say(den, "hello @bob")
        await cleo.mutate(REACT, messageId=last["id"], emoji="👍")
        await cleo.mutate(MARK_READ, roomId=den, upToMessageId=last["id"])
    assert len(asked) > 10
    assert await scans(app, asked) == {}


async def test_what_a_send_is_decided_on_is_found_by_indexes(app: RunningApp) -> None:
    asked = set()
    places = [(uuid7(), uuid7()) for _ in range(3)]
    room_ids, people = {room_id for room_id, _ in places}, {user_id for _, user_id in places}
    async with app.roomcast.db.read() as session:
        dialect = session.get_bind().dialect
    for question in (
        event_log.heads_lock_query(room_ids),
        rooms.rooms_query(room_ids),
        rooms.memberships_query(places),
        accounts.public_profiles_query(people),
    ):
        plan, parameters = compiled_statement(question.statement, dialect, question.parameters)
        asked.add((plan.sql, tuple(plan.arguments(parameters))))
    assert await scans(app, asked) == {}
