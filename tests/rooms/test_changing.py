"""Updating, archiving and deleting rooms, and the effect on open streams."""

import pytest

from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.replay_invariant import event_kinds, replay_invariant
from tests.rooms.documents import DELETE, add, change, refusal


async def test_an_update_changes_only_the_given_fields(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", topic="tea", description="leaves")
    async with replay_invariant(cleo, room_id) as recorded:
        await change(bob, "updateRoom", roomId=room_id, name="  The   Den ", slowModeSeconds=30)
        await change(bob, "updateRoom", roomId=room_id, topic=None)
    assert event_kinds(recorded) == ["RoomChanged", "bob renamed the room to “The Den”.", "RoomChanged"]
    room = recorded[-1]["room"]
    assert (room["name"], room["topic"], room["description"]) == ("The Den", None, "leaves")
    assert room["slowModeSeconds"] == 30


async def test_an_update_with_the_same_values_changes_nothing(bob: UserClient) -> None:
    room_id = await bob.create_room("den", topic="tea")
    async with replay_invariant(bob, room_id) as recorded:
        payload = await change(bob, "updateRoom", roomId=room_id, name="den", topic="tea", visibility="PUBLIC")
        assert payload["cursor"] is None
        assert (await change(bob, "unarchiveRoom", roomId=room_id))["cursor"] is None
    assert recorded == []


@pytest.mark.parametrize("mutation", ["updateRoom", "archiveRoom", "unarchiveRoom"])
async def test_who_may_change_a_room(mutation: str, ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    public = await bob.create_room("open")
    private = await bob.create_room("shut", visibility="PRIVATE")
    assert await refusal(cleo, mutation, roomId=public) == "NOT_A_MEMBER"
    assert await refusal(cleo, mutation, roomId=private) == "NOT_FOUND"
    assert await refusal(ann, mutation, roomId=private) == "NOT_FOUND"
    assert await refusal(cleo, mutation, roomId="room_nonsense") == "NOT_FOUND"
    await change(ann, mutation, roomId=public)
    for role in ("READ_ONLY", "MODERATOR"):
        room = await bob.create_room(f"with {role}")
        await add(bob, room, cleo, role=role)
        assert await refusal(cleo, mutation, roomId=room) == "FORBIDDEN"


@pytest.mark.parametrize(
    "wrong", [{"name": " "}, {"name": "x" * 81}, {"slowModeSeconds": -1}, {"topic": "x" * 251}, {"name": "ﷺ" * 80}]
)
async def test_invalid_fields_are_refused(wrong: dict[str, object], bob: UserClient) -> None:
    room_id = await bob.create_room("den")
    assert await refusal(bob, "updateRoom", roomId=room_id, **wrong) == "VALIDATION_FAILED"


async def test_an_archived_room_is_readable_and_not_writable(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    async with replay_invariant(cleo, room_id) as recorded:
        await change(bob, "archiveRoom", roomId=room_id)
        assert (await bob.send(room_id, "too late"))["errors"][0]["code"] == "ROOM_ARCHIVED"
        assert await refusal(cleo, "joinRoom", roomId=room_id) == "ROOM_ARCHIVED"
        assert await refusal(bob, "addMembers", roomId=room_id, userIds=[cleo.id]) == "ROOM_ARCHIVED"
        assert await refusal(bob, "updateRoom", roomId=room_id, name="x") == "ROOM_ARCHIVED"
        await change(bob, "unarchiveRoom", roomId=room_id)
        await change(cleo, "joinRoom", roomId=room_id)
    assert event_kinds(recorded) == ["RoomChanged", "RoomChanged", "JOINED", "cleo joined."]


async def test_making_a_room_private_ends_the_streams_of_non_members(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    async with cleo.connect() as outside, bob.connect() as inside:
        events, messages = (
            await outside.subscribe(ROOM_EVENTS, roomId=room_id),
            await outside.subscribe(ROOM_MESSAGES, roomId=room_id),
        )
        own = await inside.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.next_event()
        await own.next_event()
        await bob.app.wait_for_streams(3)
        await change(bob, "updateRoom", roomId=room_id, visibility="PRIVATE")
        ended = await events.next_event()
        assert (ended["__typename"], ended["reason"]) == ("StreamEnded", "REMOVED_FROM_ROOM")
        assert (await events.next_message())["type"] == "complete"
        assert (await messages.next_message())["type"] == "complete"
        assert (await own.next_event())["__typename"] == "RoomChanged"
    assert (await cleo.execute("query R($id: ID!) { room(id: $id) { id } }", id=room_id))["room"] is None


async def test_a_deleted_room_is_gone_and_its_streams_end(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    [message] = await bob.send_messages(room_id, "hello")
    async with cleo.connect() as socket:
        events = await socket.subscribe(ROOM_EVENTS, roomId=room_id)
        messages = await socket.subscribe(ROOM_MESSAGES, roomId=room_id)
        await events.next_event()
        await bob.app.wait_for_streams(2)
        assert (await bob.mutate(DELETE, roomId=room_id)) == {"errors": [], "deletedRoomId": room_id}
        ended = await events.next_event()
        assert (ended["__typename"], ended["reason"]) == ("StreamEnded", "ROOM_DELETED")
        assert (await events.next_message())["type"] == (await messages.next_message())["type"] == "complete"
    nodes = await bob.execute("query G($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[room_id, message["id"]])
    assert nodes == {"nodes": [None, None]}
    assert (await bob.mutate(DELETE, roomId=room_id))["errors"][0]["code"] == "NOT_FOUND"
    assert (await bob.send(room_id, "anyone?"))["errors"][0]["code"] == "NOT_FOUND"


async def test_only_owners_delete_a_room(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    public, private = await bob.create_room("open"), await bob.create_room("shut", visibility="PRIVATE")
    assert (await cleo.mutate(DELETE, roomId=public))["errors"][0]["code"] == "NOT_A_MEMBER"
    await add(bob, public, cleo, role="MODERATOR")
    assert (await cleo.mutate(DELETE, roomId=public))["errors"][0]["code"] == "FORBIDDEN"
    assert (await ann.mutate(DELETE, roomId=private))["errors"][0]["code"] == "NOT_FOUND"
    assert (await ann.mutate(DELETE, roomId=public))["errors"] == []
