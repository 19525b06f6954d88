"""No query reads a whole table: the usual operations use indexes on both databases."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from roomcast import tables
from roomcast.accounts import queries as accounts
from roomcast.core import direct_queries, event_log
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

Query = tuple[str, Any]


@contextmanager
def queries() -> Iterator[set[Query]]:
    """All statements inside the block that search rows, through SQLAlchemy or a driver."""
    executed: set[Query] = set()

    def recording(statement: sa.Executable, dialect: sa.Dialect, parameters: Mapping[str, Any], *rest: Any) -> Any:
        compiled, values = compiled_statement(statement, dialect, parameters, *rest)
        if compiled.sql.startswith(("SELECT", "UPDATE", "DELETE")):
            executed.add((compiled.sql, tuple(compiled.arguments(values))))
        return compiled, values

    def before_cursor_execute(
        _connection: object, _cursor: object, statement: str, parameters: Any, *_: object
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            executed.add((statement, parameters if isinstance(parameters, tuple) else tuple(parameters[0])))

    sa.event.listen(sa.Engine, "before_cursor_execute", before_cursor_execute)
    try:
        with patch.object(direct_queries, "compiled_statement", recording):
            yield executed
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", before_cursor_execute)


async def scans(app: RunningApp, executed: set[Query]) -> dict[str, str]:
    """The plans of those queries that read one of our tables from end to end, by statement."""
    found = {}
    async with app.roomcast.db.work() as work:
        connection = await work.session.connection()
        explain, scan = "EXPLAIN QUERY PLAN ", r"\bSCAN (\w+)"
        if connection.dialect.name == "postgresql":  # which prefers to read small tables whole
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            explain, scan = "EXPLAIN ", r"Seq Scan on (\w+)"
        for statement, parameters in executed:
            rows = (await connection.exec_driver_sql(explain + statement, parameters)).all()
            plan = "\n".join(str(row[-1]) for row in rows)
            if set(re.findall(scan, plan)) & tables.metadata.tables.keys() - {"store"}:
                found[statement] = plan
    return found


async def test_operations_on_rooms_read_no_whole_table(app: RunningApp, bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id])
    first, *_, last = await bob.send_messages(room_id, "one", "two", "hello @cleo", "@room")
    await bob.send(room_id, "a reply", threadRootId=first["id"])
    with queries() as executed:
        await cleo.execute(ROOMS)
        page = await cleo.execute(PAGE, id=room_id)
        await cleo.execute(PAGE, id=room_id, before=page["room"]["messages"]["edges"][0]["cursor"])
        await cleo.send_messages(room_id, "hello @bob")
        await cleo.mutate(REACT, messageId=last["id"], emoji="👍")
        await cleo.mutate(MARK_READ, roomId=room_id, upToMessageId=last["id"])
    assert len(executed) > 10
    assert await scans(app, executed) == {}
    # With two upper bounds, SQLite may search by the wrong one, and read all messages between them.
    pages = [statement for statement, _ in executed if "ORDER BY messages.seq DESC" in statement]
    assert {statement.count("messages.seq <") for statement in pages} == {0, 1}


async def test_the_queries_of_a_send_use_indexes(app: RunningApp) -> None:
    executed = set()
    pairs = [(uuid7(), uuid7()) for _ in range(3)]
    room_ids, user_ids = {room_id for room_id, _ in pairs}, {user_id for _, user_id in pairs}
    async with app.roomcast.db.read() as session:
        dialect = session.get_bind().dialect
    for query in (
        event_log.heads_lock_query(room_ids),
        rooms.rooms_by_id.query(room_ids),
        rooms.memberships_by_key.query(pairs),
        accounts.users_by_id.query(user_ids),
    ):
        compiled, parameters = compiled_statement(query.statement, dialect, query.parameters)
        executed.add((compiled.sql, tuple(compiled.arguments(parameters))))
    assert await scans(app, executed) == {}
