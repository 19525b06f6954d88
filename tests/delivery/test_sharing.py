"""One execution for all readers of the same bytes. No viewer receives the values of another."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from roomcast.api.schema import root
from roomcast.realtime import per_viewer_group
from roomcast.realtime.group import Group
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.running_app import RunningApp
from tests.statements import statements

PLAIN = "subscription S($id: ID!) { roomMessages(roomId: $id) { cursor message { id body author { username } } } }"
PLAIN_WITH_OTHER_FORMATTING = PLAIN.replace(" { ", "{\n    ").replace("$id: ID!", "$id:ID!")
VIEWER = (
    "subscription S($id: ID!) { roomMessages(roomId: $id) { message { body room { viewerMembership { joinedAt } } } } }"
)
VIEWER_EVENTS = (
    "subscription S($id: ID!) { roomEvents(roomId: $id) { __typename "
    "... on MessageCreated { message { body room { viewerMembership { role } } } } } }"
)
REACTIONS = (
    "subscription S($id: ID!) { roomEvents(roomId: $id) { __typename ... on MessageUpdated { message { "
    "reactions { emoji viewerHasReacted } room { viewerPermissions { canPin } } } } } }"
)
REACT = "mutation R($input: AddReactionInput!) { addReaction(input: $input) { errors { code } } }"
PIN = "mutation P($input: PinMessageInput!) { pinMessage(input: $input) { errors { code } } }"
REMOVE = "mutation R($input: RemoveMemberInput!) { removeMember(input: $input) { errors { code } } }"
MARK = "mutation M($input: MarkReadInput!) { markRead(input: $input) { errors { code } } }"


def groups(app: RunningApp) -> list[Group]:
    return [group for topic in app.roomcast.hub.topics for group in topic.groups.values()]


async def test_one_document_of_many_users_is_executed_once(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as ann_connection, bob.connect() as bob_connection, cleo.connect() as cleo_connection:
        subscriptions = [
            await connection.subscribe(PLAIN, id=room_id)
            for connection in (ann_connection, bob_connection, cleo_connection)
        ]
        subscriptions += [await ann_connection.subscribe(PLAIN_WITH_OTHER_FORMATTING, id=room_id)]
        await ann.app.wait_for_streams(4)
        await ann.send_messages(room_id, "one", "two")
        received = [await each.next_events(2) for each in subscriptions]
        [group] = groups(ann.app)
        assert received == [received[0]] * 4
        assert group.executions == 2


async def test_a_viewer_field_is_executed_once_for_each_viewer(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as ann_connection, bob.connect() as bob_connection, bob.connect() as bobs_phone:
        people = [
            await connection.subscribe(VIEWER_EVENTS, id=room_id)
            for connection in (ann_connection, bob_connection, bobs_phone)
        ]
        for subscription in people:
            await subscription.wait_until_ready()
        [group] = groups(ann.app)
        before = group.executions
        await ann.send_messages(room_id, "hello")
        shown = [
            (await subscription.next_event())["message"]["room"]["viewerMembership"]["role"] for subscription in people
        ]
        assert shown == ["OWNER", "MEMBER", "MEMBER"]
        assert group.executions - before == 2


async def test_viewer_data_is_queried_for_all_further_viewers_at_once(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    counts = []
    for people in ([ann, bob], [ann, bob, cleo]):
        async with AsyncExitStack() as open_:
            connections = [await open_.enter_async_context(person.connect()) for person in people]
            subscriptions = [await connection.subscribe(VIEWER_EVENTS, id=room_id) for connection in connections]
            for each in subscriptions:
                await each.wait_until_ready()
            with statements() as seen:
                await ann.send_messages(room_id, "hello")
                for each in subscriptions:
                    await each.next_event()
            counts.append(sum("FROM memberships" in statement for statement in seen))
    assert counts[0] == counts[1] > 0


async def test_each_viewer_sees_their_own_reactions(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    message_id = (await ann.send(room_id, "hello"))["message"]["id"]
    await bob.mutate(REACT, messageId=message_id, emoji="👍")
    async with ann.connect() as ann_connection, bob.connect() as bob_connection:
        subscriptions = [
            await connection.subscribe(REACTIONS, id=room_id) for connection in (ann_connection, bob_connection)
        ]
        for each in subscriptions:
            await each.wait_until_ready()
        await ann.mutate(PIN, messageId=message_id)
        shown = [(await each.next_event())["message"] for each in subscriptions]
        assert [message["reactions"] for message in shown] == [
            [{"emoji": "👍", "viewerHasReacted": False}],
            [{"emoji": "👍", "viewerHasReacted": True}],
        ]
        assert [message["room"]["viewerPermissions"]["canPin"] for message in shown] == [True, False]


async def test_a_removed_viewer_gets_no_more_events_and_the_others_get_all(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    async with ann.connect() as ann_connection, bob.connect() as bob_connection:
        subscriptions = [
            await connection.subscribe(VIEWER_EVENTS, id=room_id) for connection in (ann_connection, bob_connection)
        ]
        for each in subscriptions:
            await each.wait_until_ready()
        await ann.send_messages(room_id, "for both")
        await ann.mutate(REMOVE, roomId=room_id, userId=bob.id)
        await ann.send_messages(room_id, "not for bob")
        received = [
            [event["__typename"] for event in await subscriptions[n].next_events(count)]
            for n, count in ((0, 3), (1, 2))
        ]
        assert received == [["MessageCreated", "MemberChanged", "MessageCreated"], ["MessageCreated", "StreamEnded"]]
        assert (await subscriptions[1].next_message())["type"] == "complete"


async def test_viewers_that_wait_for_a_turn_get_everything_in_order(
    ann: UserClient, bob: UserClient, cleo: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(per_viewer_group, "EXECUTIONS_PER_TURN", 1)
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as ann_connection, bob.connect() as bob_connection, cleo.connect() as cleo_connection:
        subscriptions = [
            await connection.subscribe(VIEWER_EVENTS, id=room_id)
            for connection in (ann_connection, bob_connection, cleo_connection)
        ]
        for each in subscriptions:
            await each.wait_until_ready()
        bodies = [f"message {n}" for n in range(10)]
        await ann.send_messages(room_id, *bodies)
        for each in subscriptions:
            assert [event["message"]["body"] for event in await each.next_events(10)] == bodies


async def test_a_signal_reaches_documents_with_viewer_fields_too(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    message_id = (await ann.send(room_id, "hello"))["message"]["id"]
    async with ann.connect() as ann_connection:
        subscription = await ann_connection.subscribe(VIEWER_EVENTS, id=room_id)
        await subscription.wait_until_ready()
        await bob.mutate(MARK, roomId=room_id, upToMessageId=message_id)
        assert (await subscription.next_event())["__typename"] == "ReadMarkerMoved"


async def test_a_viewer_field_wrongly_marked_as_shared_is_an_error_for_all(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    field: Any = root.build_schema()._schema.type_map["Room"]
    definition = field.fields["viewerMembership"].extensions["strawberry-definition"]
    monkeypatch.setattr(definition, "metadata", {"shared": True})
    async with ann.connect() as ann_connection, bob.connect() as bob_connection:
        subscriptions = [
            await connection.subscribe(VIEWER, id=room_id) for connection in (ann_connection, bob_connection)
        ]
        await ann.app.wait_for_streams(2)
        await ann.send_messages(room_id, "hello")
        for each in subscriptions:
            payload = (await each.next_message())["payload"]
            assert [error["extensions"]["code"] for error in payload["errors"]] == ["INTERNAL"]
            assert payload["data"]["roomMessages"]["message"] == {"body": "hello", "room": {"viewerMembership": None}}
        assert len(groups(ann.app)) == 1


async def test_a_wrongly_marked_field_beside_viewer_fields_shows_each_their_own(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    field: Any = root.build_schema()._schema.type_map["Room"]
    definition = field.fields["viewerMembership"].extensions["strawberry-definition"]
    monkeypatch.setattr(definition, "metadata", {"shared": True})
    document = VIEWER_EVENTS.replace("body", "body viewerCanEdit")
    async with ann.connect() as ann_connection, bob.connect() as bob_connection:
        subscriptions = [
            await connection.subscribe(document, id=room_id) for connection in (ann_connection, bob_connection)
        ]
        for each in subscriptions:
            await each.wait_until_ready()
        await ann.send_messages(room_id, "hello")
        shown = [(await each.next_event())["message"] for each in subscriptions]
        assert [message["room"]["viewerMembership"]["role"] for message in shown] == ["OWNER", "MEMBER"]
        assert [message["viewerCanEdit"] for message in shown] == [True, False]


async def test_readers_that_missed_the_same_events_share_a_replay(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    cursor = (await ann.send(room_id, "first"))["cursor"]
    await ann.send_messages(room_id, *(f"missed {n}" for n in range(20)))
    async with ann.connect() as connection:
        subscriptions = [await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=cursor) for _ in range(50)]
        received = await asyncio.gather(*(each.next_events(20) for each in subscriptions))
        assert [event["message"]["body"] for event in received[0]] == [f"missed {n}" for n in range(20)]
        assert all(each == received[0] for each in received)
        [group] = groups(ann.app)
        assert group.executions <= 2 * 22  # one shared block, and a second one if the first has expired


@pytest.mark.parametrize("document", [ROOM_EVENTS, VIEWER_EVENTS.replace("$id", "$roomId")])
async def test_replays_show_each_viewer_their_own_values(ann: UserClient, bob: UserClient, document: str) -> None:
    document = document.replace("($roomId: ID!)", "($roomId: ID!, $after: Cursor)").replace(
        "(roomId: $roomId)", "(roomId: $roomId, after: $after)"
    )
    room_id = await ann.create_room("den", memberIds=[bob.id])
    cursor = (await ann.send(room_id, "first"))["cursor"]
    await ann.send_messages(room_id, "missed")
    roles = []
    for person in (ann, bob):
        async with person.connect() as connection:
            subscription = await connection.subscribe(document, roomId=room_id, after=cursor)
            missed = [*await subscription.wait_until_ready(), *await subscription.wait_until_ready()][1]
            roles.append(missed["message"].get("room", {}).get("viewerMembership", {}).get("role"))
    assert roles == (["OWNER", "MEMBER"] if "viewerMembership" in document else [None, None])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_replay_expires(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    cursor = (await ann.send(room_id, "first"))["cursor"]
    await ann.send_messages(room_id, "missed")
    async with ann.connect() as connection:
        await (await connection.subscribe(ROOM_MESSAGES, roomId=room_id, after=cursor)).next_event()
        [group] = groups(ann.app)
        assert len(group._blocks) == 1
        async with asyncio.timeout(5):
            while group._blocks:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.05)


async def test_a_viewer_may_have_few_different_documents_of_one_room_open(ann: UserClient, bob: UserClient) -> None:
    """Each document costs one execution for every message of the room."""
    room_id = await ann.create_room("den", memberIds=[bob.id])
    documents = [PLAIN.replace("cursor", f"cursor m{number}: replayed") for number in range(16)]
    async with ann.connect() as ann_connection, ann.connect() as second_connection, bob.connect() as bob_connection:
        for document in documents:
            await ann_connection.subscribe(document, id=room_id)
        await ann.app.wait_for_streams(16)
        refused = await second_connection.subscribe(PLAIN, id=room_id)
        [error] = (await refused.next_message())["payload"]
        assert error["extensions"]["code"] == "SUBSCRIPTION_LIMIT"
        await bob_connection.subscribe(PLAIN, id=room_id)
        await ann.app.wait_for_streams(17)
        await second_connection.subscribe(PLAIN, id=room_id)  # the group exists already, so it costs nothing more
        await ann.app.wait_for_streams(18)
