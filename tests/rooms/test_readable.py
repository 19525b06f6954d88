"""Which rooms somebody can read: one rule, asked for one user or for all who open streams at the same time."""

import asyncio
from uuid import uuid4

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.errors import NotFound
from roomcast.core.ids import local_id
from roomcast.live.room_streams import StreamAccess
from roomcast.rooms import queries
from roomcast.rooms.queries import MAX_TAILS_PER_STATEMENT
from tests.api_clients import UserClient
from tests.rooms.documents import change
from tests.rooms.test_direct import OPEN
from tests.running_app import RunningApp
from tests.statements import statements


async def test_many_users_and_rooms_are_checked_as_each_alone(
    app: RunningApp, ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    public, private = await ann.create_room("open"), await ann.create_room("closed", visibility="PRIVATE")
    await change(ann, "addMembers", roomId=private, userIds=[bob.id])
    unlisted = (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    listed = (await ann.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    await ann.send_messages(listed, "psst")
    room_ids = [local_id("room", id_) for id_ in (public, private, unlisted, listed)] + [uuid4()]
    actors = [
        Actor(user_id, uuid4(), False, now()) for client in (ann, bob, cleo) if (user_id := local_id("user", client.id))
    ]
    actors.append(Actor(uuid4(), uuid4(), False, now()))
    keys = [(actor.user_id, id_) for actor in actors for id_ in room_ids if id_ is not None]
    expected: dict[queries.UserAndRoom, int] = {}
    async with app.roomcast.db.read() as session:
        for actor in actors:
            found = await queries.readable_rooms(session, actor, [id_ for id_ in room_ids if id_ is not None])
            expected |= {(actor.user_id, id_): view.head.last_seq for id_, view in found.items()}
        assert await queries.readable_tails(session, keys) == expected
        assert await queries.readable_tails(session, keys * (2 * MAX_TAILS_PER_STATEMENT // len(keys))) == expected
    assert len(expected) == 4 + 3 + 2  # the public room for everybody


async def test_streams_that_open_at_the_same_time_are_checked_in_one_statement(
    app: RunningApp, ann: UserClient, bob: UserClient
) -> None:
    public, private = await ann.create_room("open"), await ann.create_room("closed", visibility="PRIVATE")
    access = StreamAccess(app.roomcast.db)
    actors = [
        Actor(user_id, uuid4(), False, now()) for client in (ann, bob) if (user_id := local_id("user", client.id))
    ]
    with statements() as executed:
        found = await asyncio.gather(
            *(access.check(actor, local_id("room", id_)) for id_ in (public, private) for actor in actors),
            return_exceptions=True,
        )
    assert [isinstance(each, NotFound) for each in found] == [False, False, False, True]
    assert len([statement for statement in executed if "asked" in statement]) == 1
    await access.close()
