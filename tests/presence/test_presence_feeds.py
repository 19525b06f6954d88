"""The presence stream of a room: a snapshot, then changes, with few payloads however many users connect."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from roomcast.presence import policy
from roomcast.realtime.group import Group
from tests.accounts.documents import A_SECOND
from tests.api_clients import SocketClient, UserClient
from tests.presence.documents import (
    PRESENCE,
    add_members,
    advance_clock,
    only,
    set_presence,
    states_by_name,
    wait_for_shown,
    wait_for_sockets,
)
from tests.rooms.documents import DELETE, change
from tests.running_app import RunningApp
from tests.statements import statements

PERSONAL = PRESENCE.replace("username ", "username ... on Node { id } ")


async def test_a_presence_stream_sends_a_snapshot_and_then_changes(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as connection, cleo.connect():
        subscription = await connection.subscribe(PRESENCE, roomId=room_id)
        first = await subscription.next_event()
        assert (first["snapshot"], states_by_name(first)) == (True, {"ann": "ACTIVE"})
        async with bob.connect():
            assert states_by_name(await subscription.next_event()) == {"bob": "ACTIVE"}
            await set_presence(bob, state="IDLE", statusText="lunch")
            [idle] = (await subscription.next_event())["users"]
            assert (idle["presence"]["state"], idle["presence"]["statusText"]) == ("IDLE", "lunch")
        await wait_for_sockets(ann.app, 2)
        advance_clock([ann.app], 20)
        offline = await subscription.next_event()
        assert (offline["snapshot"], states_by_name(offline)) == (False, {"bob": "OFFLINE"})
        assert subscription.is_empty


async def test_an_unchanged_presence_is_not_sent(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as connection, bob.connect():
        subscription = await connection.subscribe(PRESENCE, roomId=room_id)
        assert states_by_name(await subscription.next_event()) == {"ann": "ACTIVE", "bob": "ACTIVE"}
        async with bob.connect():
            await set_presence(bob, state="ACTIVE")
            advance_clock([ann.app], 60)
        await set_presence(bob, statusText="here")
        [update] = (await subscription.next_event())["users"]
        assert (update["username"], update["presence"]["statusText"]) == ("bob", "here")


async def test_a_new_member_is_shown_and_a_former_member_is_not(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection, bob.connect():
        subscription = await connection.subscribe(PRESENCE, roomId=room_id)
        assert states_by_name(await subscription.next_event()) == {"ann": "ACTIVE"}
        await bob.join(room_id)
        assert states_by_name(await subscription.next_event()) == {"bob": "ACTIVE"}
        await bob.leave(room_id)
        without = await subscription.next_event()
        assert (without["snapshot"], states_by_name(without)) == (True, {"ann": "ACTIVE"})


async def test_a_member_who_joined_during_a_gap_of_the_bus_is_shown_after_it(ann: UserClient, bob: UserClient) -> None:
    room_id, watch = await ann.create_room("den"), ann.app.roomcast.backend.watchers
    async with ann.connect() as connection, bob.connect():
        subscription = await connection.subscribe(PRESENCE, roomId=room_id)
        assert states_by_name(await subscription.next_event()) == {"ann": "ACTIVE"}
        on_frame, watch.on_frame = watch.on_frame, lambda frame: None  # type: ignore[method-assign]
        await bob.join(room_id)
        watch.on_frame = on_frame  # type: ignore[method-assign]
        watch.on_resync([f"room:{room_id.removeprefix('room_')}"])
        assert states_by_name(await subscription.next_event()) == {"bob": "ACTIVE"}


async def test_a_presence_stream_over_http_makes_its_user_present(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    body = {"query": PRESENCE, "variables": {"roomId": room_id}}
    headers = {"authorization": f"Bearer {bob.token}", "accept": "text/event-stream"}
    async with bob.http.stream("POST", "/graphql", json=body, headers=headers) as stream:
        lines = (line async for line in stream.aiter_lines() if line.startswith("data: {"))
        first = json.loads((await anext(lines)).removeprefix("data: "))["data"]["presence"]
        assert (first["snapshot"], states_by_name(first)) == (True, {"bob": "ACTIVE"})
        async with ann.connect():
            then = json.loads((await anext(lines)).removeprefix("data: "))["data"]["presence"]
            assert states_by_name(then) == {"ann": "ACTIVE"}


async def test_presence_requires_the_right_to_read_the_room(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    async with bob.connect() as connection:
        message = await (await connection.subscribe(PRESENCE, roomId=room_id)).next_message()
        assert message["payload"][0]["extensions"]["code"] == "NOT_FOUND"
    async with SocketClient(ann.app.ws_url) as nobody:
        await nobody.init()
        message = await (await nobody.subscribe(PRESENCE, roomId=room_id)).next_message()
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_presence_stream_of_a_removed_member_ends_within_a_second(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    async with ann.connect() as ann_connection, bob.connect() as bob_connection:
        kept_subscription, ended_subscription = [
            await connection.subscribe(PRESENCE, roomId=room_id) for connection in (ann_connection, bob_connection)
        ]
        for subscription in (kept_subscription, ended_subscription):
            assert states_by_name(await subscription.next_event()) == {"ann": "ACTIVE", "bob": "ACTIVE"}
        await change(ann, "removeMember", roomId=room_id, userId=bob.id)
        async with asyncio.timeout(A_SECOND):
            assert (await ended_subscription.next_message())["type"] == "complete"
        assert await wait_for_shown(kept_subscription, only("ann")) == {"ann": "ACTIVE"}
        await ann.mutate(DELETE, roomId=room_id)
        async with asyncio.timeout(A_SECOND):
            assert (await kept_subscription.next_message())["type"] == "complete"


# ------------------------------------------------------------------ large rooms


def groups(app: RunningApp) -> list[Group]:
    return [group for topic in app.roomcast.hub.topics for group in topic.groups.values()]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_hundreds_of_users_who_connect_at_once_cost_few_executions(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    actors, signals = await add_members(ann, room_id, 400), ann.app.roomcast.backend.presence
    async with AsyncExitStack() as open_:
        connections = [await open_.enter_async_context(person.connect()) for person in (ann, ann, bob, bob)]
        subscriptions = [await connection.subscribe(PRESENCE, roomId=room_id) for connection in connections]
        for each in subscriptions:
            await each.next_event()
        [group] = groups(ann.app)
        before = group.executions
        for actor in actors:
            signals.on_connect(actor)
        for each in subscriptions:
            known = await wait_for_shown(each, lambda known: len(known) == policy.MAX_VISIBLE_USERS - 1)
        assert group.executions - before <= 2
        for actor in actors:
            signals.on_disconnect(actor, for_good=True)
        for each in subscriptions:
            assert await wait_for_shown(each, only()) == {}
        assert group.executions - before <= 4
        assert known.keys() < {f"person{number}" for number in range(400)}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_many_connecting_users_cost_a_bounded_number_of_statements(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    actors, signals = await add_members(ann, room_id, 300), ann.app.roomcast.backend.presence
    async with ann.connect() as connection:
        subscription = await connection.subscribe(PRESENCE, roomId=room_id)
        await subscription.next_event()
        with statements() as seen:
            for actor in actors:
                signals.on_connect(actor)
            await wait_for_shown(subscription, lambda known: len(known) == policy.MAX_VISIBLE_USERS - 1)
        assert len(seen) <= 2
        assert all(statement.startswith("SELECT users.") for statement in seen), seen


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_another_user_is_shown_when_a_shown_user_disconnects(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    actors, signals = await add_members(ann, room_id, policy.MAX_VISIBLE_USERS + 10), ann.app.roomcast.backend.presence
    for actor in actors:
        signals.on_connect(actor)
    async with ann.connect() as connection:
        subscription = await connection.subscribe(PRESENCE, roomId=room_id)
        known = states_by_name(await subscription.next_event())
        assert len(known) == policy.MAX_VISIBLE_USERS
        names = {f"person{number}": actor for number, actor in enumerate(actors)}
        offline = next(name for name in known if name in names)
        signals.on_disconnect(names[offline], for_good=True)
        update = states_by_name(await subscription.next_event())
        assert (update.pop(offline), list(update.values())) == ("OFFLINE", ["ACTIVE"])


async def test_a_presence_change_is_executed_once_per_document(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as ann_connection, bob.connect() as bob_connection:
        subscriptions = [
            await connection.subscribe(PRESENCE, roomId=room_id)
            for connection in (ann_connection, bob_connection, ann_connection)
        ]
        subscriptions.append(await bob_connection.subscribe(PERSONAL, roomId=room_id))
        for each in subscriptions:
            assert states_by_name(await each.next_event()) == {"ann": "ACTIVE", "bob": "ACTIVE"}
        before = [group.executions for group in groups(ann.app)]
        await set_presence(bob, statusText="x")
        for each in subscriptions:
            assert states_by_name(await each.next_event()) == {"bob": "ACTIVE"}
        assert [group.executions - count for group, count in zip(groups(ann.app), before, strict=True)] == [1, 1]
